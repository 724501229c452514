//! The text behind a Pix QR code ("Pix copia e cola"): EMV QRCPS fields as the Banco Central's manual has them.

/// The receiver's name and city as banks show them.
const MERCHANT: &str = "MESTRES CAFE SANDBOX";
const CITY: &str = "SAO PAULO";

/// The code for a charge of `amount` centavos that a payer's bank looks up at `location` (without scheme).
pub(crate) fn copy_and_paste(location: &str, amount: i64) -> String {
    let account = [field("00", "br.gov.bcb.pix"), field("25", location)].concat();
    let mut code = [
        field("00", "01"),
        // To be used once.
        field("01", "12"),
        field("26", &account),
        field("52", "0000"),
        field("53", "986"),
        field("54", &format!("{}.{:02}", amount / 100, amount % 100)),
        field("58", "BR"),
        field("59", MERCHANT),
        field("60", CITY),
        // A dynamic code names its transaction at the location, and has three asterisks here.
        field("62", &field("05", "***")),
        // The check covers its own tag and length.
        "6304".to_owned(),
    ]
    .concat();
    let check = crc16(code.as_bytes());
    code.push_str(&format!("{check:04X}"));
    code
}

/// Tag, length in two digits, value.
fn field(tag: &str, value: &str) -> String {
    // The longest value is the account's, with a location of at most 77 characters by the manual.
    debug_assert!(value.len() <= 99, "a length has two digits");
    format!("{tag}{:02}{value}", value.len())
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        let mixed = crc ^ (u16::from(*byte) << 8);
        (0..8).fold(mixed, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_the_one_that_banks_compute() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
        // The static code of the Banco Central's manual.
        let manual = "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Fulano \
                      de Tal6008BRASILIA62070503***63041D3D";
        let (text, check) = manual.split_at(manual.len() - 4);
        assert_eq!(format!("{:04X}", crc16(text.as_bytes())), check);
    }

    #[test]
    fn a_code_can_be_taken_apart() {
        let code = copy_and_paste("pix.sandbox.mestres/qr/v2/pi_1", 12_905);
        let mut rest = code.as_str();
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let length: usize = rest[2..4].parse().expect("a length");
            fields.push((&rest[..2], &rest[4..4 + length]));
            rest = &rest[4 + length..];
        }
        let value = |tag| fields.iter().find(|(each, _)| *each == tag).map(|(_, value)| *value);
        assert_eq!(value("54"), Some("129.05"));
        assert_eq!(value("58"), Some("BR"));
        assert!(value("26").is_some_and(|account| account.starts_with("0014br.gov.bcb.pix25")));
        assert_eq!(fields.last().map(|(tag, _)| *tag), Some("63"));
    }
}
