//! What a coffee can be: varieties, processes, roasts and the notes that they bring to the cup.

use crate::domain::Roast;

pub(super) struct Variety {
    pub(super) name: &'static str,
    /// What the variety is known for; follows "um café".
    pub(super) character: &'static str,
    /// Added to the lot's SCA score, in tenths of a point.
    pub(super) score_tenths: i32,
    /// Notes in the cup.
    pub(super) notes: [&'static str; 4],
}

const fn variety(
    name: &'static str,
    character: &'static str,
    score_tenths: i32,
    notes: [&'static str; 4],
) -> Variety {
    Variety { name, character, score_tenths, notes }
}

pub(super) const VARIETIES: [Variety; 16] = [
    variety("Catuaí Amarelo", "doce e equilibrado", 0, ["caramelo", "amêndoa", "laranja madura", "mel"]),
    variety(
        "Catuaí Vermelho",
        "encorpado e macio",
        -3,
        ["chocolate ao leite", "castanha", "ameixa", "melado"],
    ),
    variety(
        "Bourbon Amarelo",
        "delicado e muito doce",
        12,
        ["damasco", "mel de laranjeira", "baunilha", "pêssego"],
    ),
    variety("Bourbon Vermelho", "elegante e frutado", 10, ["cereja", "rapadura", "jasmim", "tangerina"]),
    variety(
        "Mundo Novo",
        "de corpo cheio e baixa acidez",
        -6,
        ["chocolate amargo", "avelã", "nozes", "açúcar mascavo"],
    ),
    variety("Acaiá", "limpo e aromático", 4, ["flor de laranjeira", "toffee", "maçã", "amêndoa"]),
    variety("Topázio", "redondo e adocicado", -2, ["caramelo", "biscoito", "castanha-do-pará", "uva-passa"]),
    variety(
        "Catucaí Amarelo 2SL",
        "vivo e cítrico",
        8,
        ["limão-cravo", "cana-de-açúcar", "maracujá", "melaço"],
    ),
    variety("Icatu", "denso e achocolatado", -4, ["cacau", "figo seco", "nozes", "caramelo"]),
    variety("Obatã", "suculento e direto", 0, ["uva", "rapadura", "chocolate ao leite", "goiaba"]),
    variety("Arara", "intenso, de acidez brilhante", 9, ["manga", "mel", "limão-siciliano", "doce de leite"]),
    variety("Geisha", "floral e complexo", 34, ["jasmim", "bergamota", "pêssego branco", "chá preto"]),
    variety(
        "Caparaó Amarelo",
        "de altitude, leve e floral",
        11,
        ["capim-limão", "melão", "mel", "flor de café"],
    ),
    variety(
        "Laurina",
        "naturalmente baixo em cafeína e sedoso",
        18,
        ["hibisco", "morango", "água de coco", "lichia"],
    ),
    variety(
        "Robusta Amazônico BRS 2314",
        "potente e aveludado",
        -8,
        ["cacau", "castanha-do-brasil", "especiarias", "melaço"],
    ),
    variety(
        "Robusta Apoatã",
        "de crema densa e final longo",
        -12,
        ["amendoim", "chocolate amargo", "cedro", "açúcar queimado"],
    ),
];

pub(super) struct Process {
    /// As shown in a product's name.
    pub(super) name: &'static str,
    /// How it was done; follows "Foi".
    pub(super) how: &'static str,
    pub(super) score_tenths: i32,
    pub(super) note: &'static str,
}

const fn process(name: &'static str, how: &'static str, score_tenths: i32, note: &'static str) -> Process {
    Process { name, how, score_tenths, note }
}

pub(super) const PROCESSES: [Process; 7] = [
    process("natural", "seco inteiro ao sol, em terreiro, por 21 dias", 0, "frutas secas"),
    process(
        "cereja descascado",
        "descascado no dia da colheita e seco em terreiro suspenso",
        3,
        "caramelo claro",
    ),
    process("lavado", "lavado depois de 18 horas de fermentação em tanque", 7, "acidez cítrica"),
    process("honey", "seco com parte da mucilagem, revolvido a cada duas horas", 6, "mel"),
    process("despolpado", "despolpado e seco à sombra, em camadas finas", 2, "açúcar demerara"),
    process(
        "fermentação anaeróbica",
        "fermentado 72 horas sem oxigênio antes da seca lenta",
        15,
        "vinho tinto",
    ),
    process(
        "maceração carbônica",
        "macerado inteiro em tanque com gás carbônico por 96 horas",
        19,
        "frutas vermelhas",
    ),
];

pub(super) struct RoastLevel {
    pub(super) roast: Roast,
    pub(super) advice: &'static str,
}

pub(super) const ROASTS: [RoastLevel; 3] = [
    RoastLevel { roast: Roast::Light, advice: "Torra clara: brilha no coado, no Hario V60 e na Aeropress." },
    RoastLevel {
        roast: Roast::Medium,
        advice: "Torra média: equilíbrio para coador, prensa francesa e espresso.",
    },
    RoastLevel { roast: Roast::Dark, advice: "Torra escura: feita para espresso, moka e café com leite." },
];

/// A blend or a decaffeinated coffee of the house.
pub(super) struct HouseCoffee {
    pub(super) name: &'static str,
    pub(super) slug: &'static str,
    pub(super) category: &'static str,
    pub(super) roast: usize,
    pub(super) score_tenths: i32,
    pub(super) amount_250g: i64,
    pub(super) description: &'static str,
    pub(super) notes: [&'static str; 3],
}

pub(super) const HOUSE_COFFEES: [HouseCoffee; 12] = [
    HouseCoffee {
        name: "Blend Mestre da Casa",
        slug: "blend-mestre-da-casa",
        category: "espresso",
        roast: 1,
        score_tenths: 840,
        amount_250g: 4_290,
        description: "O café premium que abre a loja todas as manhãs: bourbon da Mantiqueira para a doçura, catuaí do Cerrado para o corpo. Um espresso redondo, que vai bem puro e com leite.",
        notes: ["chocolate ao leite", "caramelo", "laranja"],
    },
    HouseCoffee {
        name: "Blend Espresso Serra Acima",
        slug: "blend-espresso-serra-acima",
        category: "espresso",
        roast: 2,
        score_tenths: 825,
        amount_250g: 3_890,
        description: "Mundo novo e icatu de torra escura para crema espessa e final de cacau. Pensado para máquinas domésticas.",
        notes: ["cacau", "nozes", "melaço"],
    },
    HouseCoffee {
        name: "Blend Espresso Amazônia",
        slug: "blend-espresso-amazonia",
        category: "espresso",
        roast: 2,
        score_tenths: 820,
        amount_250g: 3_690,
        description: "Trinta por cento de robusta amazônico fino com arábicas da Alta Mogiana: crema densa, potência e baixa acidez.",
        notes: ["castanha-do-brasil", "chocolate amargo", "especiarias"],
    },
    HouseCoffee {
        name: "Blend Coado de Domingo",
        slug: "blend-coado-de-domingo",
        category: "filtro",
        roast: 1,
        score_tenths: 835,
        amount_250g: 3_990,
        description: "Cafés naturais e descascados do Sul de Minas num blend doce e leve, para a garrafa térmica que fica na mesa o dia todo.",
        notes: ["rapadura", "amêndoa", "maçã"],
    },
    HouseCoffee {
        name: "Blend Coado Claro",
        slug: "blend-coado-claro",
        category: "filtro",
        roast: 0,
        score_tenths: 855,
        amount_250g: 4_690,
        description: "Lavados da Chapada Diamantina e do Caparaó em torra clara: xícara limpa, floral e cítrica.",
        notes: ["flor de laranjeira", "limão-cravo", "mel"],
    },
    HouseCoffee {
        name: "Blend Cold Brew Verão",
        slug: "blend-cold-brew-verao",
        category: "filtro",
        roast: 1,
        score_tenths: 838,
        amount_250g: 4_190,
        description: "Naturais frutados do Cerrado, em grãos ou em moagem grossa, para extração a frio de 16 horas.",
        notes: ["uva-passa", "cacau", "baunilha"],
    },
    HouseCoffee {
        name: "Descafeinado Natural da Mantiqueira",
        slug: "descafeinado-natural-da-mantiqueira",
        category: "descafeinados",
        roast: 1,
        score_tenths: 828,
        amount_250g: 5_290,
        description: "Descafeinado em água, sem solventes, a partir de um catuaí natural. Noite adentro, sem perder a doçura.",
        notes: ["caramelo", "castanha", "ameixa"],
    },
    HouseCoffee {
        name: "Descafeinado Lavado do Caparaó",
        slug: "descafeinado-lavado-do-caparao",
        category: "descafeinados",
        roast: 0,
        score_tenths: 835,
        amount_250g: 5_690,
        description: "Um lavado de montanha descafeinado em água, de torra clara e final limpo.",
        notes: ["maçã verde", "mel", "chá"],
    },
    HouseCoffee {
        name: "Descafeinado Espresso",
        slug: "descafeinado-espresso",
        category: "descafeinados",
        roast: 2,
        score_tenths: 820,
        amount_250g: 4_990,
        description: "Corpo e crema de espresso para quem toma o último café às dez da noite.",
        notes: ["chocolate amargo", "amendoim", "açúcar mascavo"],
    },
    HouseCoffee {
        name: "Blend Padaria da Esquina",
        slug: "blend-padaria-da-esquina",
        category: "filtro",
        roast: 2,
        score_tenths: 810,
        amount_250g: 2_990,
        description: "O gosto do café com pão na chapa, feito com grãos especiais: forte, direto e sem amargor queimado.",
        notes: ["pão tostado", "cacau", "melado"],
    },
    HouseCoffee {
        name: "Blend Prensa Francesa",
        slug: "blend-prensa-francesa",
        category: "filtro",
        roast: 1,
        score_tenths: 842,
        amount_250g: 4_390,
        description: "Cafés honey e naturais de corpo denso, escolhidos para moagem grossa e quatro minutos de infusão.",
        notes: ["avelã", "mel", "figo"],
    },
    HouseCoffee {
        name: "Blend Mestras do Café",
        slug: "blend-mestras-do-cafe",
        category: "espresso",
        roast: 1,
        score_tenths: 850,
        amount_250g: 4_890,
        description: "Só cafés premium de produtoras: Norte Pioneiro, Sudoeste de Minas e Chapada Diamantina na mesma xícara.",
        notes: ["damasco", "doce de leite", "jasmim"],
    },
];
