//! Coffee masters, as their users write them down.

use super::words;

words! {
    /// What a professional is good at.
    Specialty {
        Barista = "barista",
        RoastMaster = "mestre_de_torra",
        QGrader = "q_grader",
        Producer = "produtor",
        Instructor = "instrutor",
    } else "must be barista, mestre_de_torra, q_grader, produtor or instrutor"
}

/// The fields of a professional, all of them valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfessionalFields {
    pub(crate) name: String,
    pub(crate) specialty: Specialty,
    pub(crate) bio: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
}
