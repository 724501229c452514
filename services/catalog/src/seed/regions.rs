//! Where Brazilian coffee comes from: real regions and their registered indications, invented farms.

/// A coffee region, with the farms that this shop buys from. Region names, registrations, towns and
/// altitudes are real; farms and people are invented.
pub(super) struct Region {
    pub(super) name: &'static str,
    pub(super) slug: &'static str,
    pub(super) state: &'static str,
    /// How the region is registered at INPI, for example "Denominação de Origem".
    pub(super) registration: &'static str,
    /// Metres above the sea, lowest and highest of the farms.
    pub(super) altitude_m: (u32, u32),
    /// Indexes into [`super::lots::VARIETIES`] that grow there.
    pub(super) varieties: &'static [usize],
    /// Indexes into [`super::lots::PROCESSES`] that its farms use.
    pub(super) processes: &'static [usize],
    pub(super) landscape: &'static str,
    pub(super) farms: [Farm; 3],
}

pub(super) struct Farm {
    pub(super) name: &'static str,
    pub(super) producer: &'static str,
    pub(super) town: &'static str,
}

const fn farm(name: &'static str, producer: &'static str, town: &'static str) -> Farm {
    Farm { name, producer, town }
}

pub(super) const REGIONS: [Region; 14] = [
    Region {
        name: "Cerrado Mineiro",
        slug: "cerrado-mineiro",
        state: "MG",
        registration: "Denominação de Origem",
        altitude_m: (900, 1_200),
        varieties: &[0, 1, 4, 6, 8, 10],
        processes: &[0, 1, 3, 5],
        landscape: "chapadas altas, com verão chuvoso e inverno seco na colheita",
        farms: [
            farm("Fazenda Chapada das Seriemas", "Otávio e Lígia Barcelos", "Patrocínio"),
            farm("Fazenda Lagoa do Jacu", "família Antunes Prado", "Monte Carmelo"),
            farm("Sítio Vereda Clara", "Marlene Quintão", "Carmo do Paranaíba"),
        ],
    },
    Region {
        name: "Mantiqueira de Minas",
        slug: "mantiqueira-de-minas",
        state: "MG",
        registration: "Denominação de Origem",
        altitude_m: (1_100, 1_450),
        varieties: &[0, 2, 3, 5, 11, 13],
        processes: &[0, 1, 2, 3, 5],
        landscape: "encostas frias de serra, onde o café amadurece devagar",
        farms: [
            farm("Sítio Pedra do Falcão", "Benedito e Zélia Marcondes", "Carmo de Minas"),
            farm("Fazenda Alto da Neblina", "Clarice Junqueira Sales", "Cristina"),
            farm("Sítio Águas do Sertãozinho", "irmãos Noronha", "Dom Viçoso"),
        ],
    },
    Region {
        name: "Matas de Minas",
        slug: "matas-de-minas",
        state: "MG",
        registration: "Indicação de Procedência",
        altitude_m: (750, 1_250),
        varieties: &[0, 1, 7, 9, 12],
        processes: &[0, 1, 2, 4],
        landscape: "morros de mata atlântica, em lavouras pequenas e de família",
        farms: [
            farm("Sítio Grota do Ipê", "Geraldo Emerick Filho", "Araponga"),
            farm("Sítio Córrego das Almas", "Dalva e Nilson Heringer", "Manhuaçu"),
            farm("Fazenda Bela Aurora", "Rogério Sathler Pinto", "Espera Feliz"),
        ],
    },
    Region {
        name: "Sudoeste de Minas",
        slug: "sudoeste-de-minas",
        state: "MG",
        registration: "Indicação de Procedência",
        altitude_m: (850, 1_250),
        varieties: &[0, 1, 4, 6, 7],
        processes: &[0, 1, 3],
        landscape: "montanhas suaves entre a Canastra e o lago de Furnas",
        farms: [
            farm("Fazenda Serra do Chapadão", "Heitor Paulinelli Dias", "Guaxupé"),
            farm("Sítio Três Nascentes", "Aparecida Bueno", "Nova Resende"),
            farm("Fazenda Morro Redondo", "família Calixto", "Muzambinho"),
        ],
    },
    Region {
        name: "Campo das Vertentes",
        slug: "campo-das-vertentes",
        state: "MG",
        registration: "Indicação de Procedência",
        altitude_m: (950, 1_200),
        varieties: &[0, 2, 4, 10, 6],
        processes: &[0, 1, 2, 4],
        landscape: "campos altos onde nascem rios de três bacias",
        farms: [
            farm("Fazenda Ponte de Tábuas", "Eugênia Resende Lara", "Santo Antônio do Amparo"),
            farm("Fazenda Cruz das Posses", "Tarcísio Avelar", "Bom Sucesso"),
            farm("Sítio Olhos d'Água", "Ivone e Rubens Naves", "São João del-Rei"),
        ],
    },
    Region {
        name: "Alta Mogiana",
        slug: "alta-mogiana",
        state: "SP",
        registration: "Indicação de Procedência",
        altitude_m: (850, 1_100),
        varieties: &[0, 1, 2, 4, 8],
        processes: &[0, 1, 3, 5],
        landscape: "terra roxa e manhãs frias na divisa de São Paulo com Minas",
        farms: [
            farm("Fazenda Estrela do Capim", "Lázaro Figueiredo Neto", "Pedregulho"),
            farm("Fazenda Santa Aurélia", "Beatriz Coelho Lima", "Cristais Paulista"),
            farm("Sítio Retiro das Paineiras", "Jorge e Ana Alvarenga", "Franca"),
        ],
    },
    Region {
        name: "Região de Pinhal",
        slug: "regiao-de-pinhal",
        state: "SP",
        registration: "Indicação de Procedência",
        altitude_m: (850, 1_300),
        varieties: &[0, 2, 3, 7, 9],
        processes: &[0, 1, 2, 3],
        landscape: "serras vulcânicas de solo mineral no leste paulista",
        farms: [
            farm("Fazenda Ribeirão da Prata", "família Vergueiro Malta", "Espírito Santo do Pinhal"),
            farm("Sítio Caldeira Velha", "Sônia Tessari", "Santo Antônio do Jardim"),
            farm("Fazenda Pico do Gavião Manso", "Américo Baldini", "São João da Boa Vista"),
        ],
    },
    Region {
        name: "Região de Garça",
        slug: "regiao-de-garca",
        state: "SP",
        registration: "Indicação de Procedência",
        altitude_m: (600, 750),
        varieties: &[0, 1, 4, 10],
        processes: &[0, 1, 3],
        landscape: "espigões de arenito com lavouras de mais de um século",
        farms: [
            farm("Fazenda Igurê Velha", "Celso Yamashita", "Garça"),
            farm("Sítio Jafa Alto", "Madalena Bortoli", "Gália"),
            farm("Fazenda Cascatinha do Vale", "irmãos Paschoal", "Vera Cruz"),
        ],
    },
    Region {
        name: "Caparaó",
        slug: "caparao",
        state: "ES",
        registration: "Denominação de Origem",
        altitude_m: (1_000, 1_450),
        varieties: &[0, 1, 7, 11, 12],
        processes: &[0, 1, 2, 4, 6],
        landscape: "roças de montanha ao pé do Pico da Bandeira",
        farms: [
            farm("Sítio Rancho do Tatu-bola", "Lourival e Maria Onofre", "Iúna"),
            farm("Sítio Pedra Menina Alta", "família Protazio", "Dores do Rio Preto"),
            farm("Sítio Cachoeira Fria", "Edilson Lacerda Souto", "Ibitirama"),
        ],
    },
    Region {
        name: "Montanhas do Espírito Santo",
        slug: "montanhas-do-espirito-santo",
        state: "ES",
        registration: "Denominação de Origem",
        altitude_m: (750, 1_250),
        varieties: &[0, 1, 7, 9, 13],
        processes: &[1, 2, 4, 6],
        landscape: "vales úmidos colonizados por italianos e pomeranos",
        farms: [
            farm("Sítio Vale das Bromélias", "Arlindo Zandonadi", "Venda Nova do Imigrante"),
            farm("Sítio Bela Pomerânia", "Hilda Schwanz", "Santa Maria de Jetibá"),
            farm("Fazenda Alto Castelinho", "Renato Falqueto Brás", "Castelo"),
        ],
    },
    Region {
        name: "Chapada Diamantina",
        slug: "chapada-diamantina",
        state: "BA",
        registration: "Denominação de Origem",
        altitude_m: (1_000, 1_350),
        varieties: &[0, 1, 2, 11, 5],
        processes: &[1, 2, 3, 5],
        landscape: "gerais de altitude com noites frias no coração da Bahia",
        farms: [
            farm("Fazenda Gerais da Onça", "Iraci Novais Teles", "Piatã"),
            farm("Sítio Cafundó de Cima", "Valdomiro Sodré", "Ibicoara"),
            farm("Fazenda Machombongo", "família Rocha Pires", "Mucugê"),
        ],
    },
    Region {
        name: "Oeste da Bahia",
        slug: "oeste-da-bahia",
        state: "BA",
        registration: "Indicação de Procedência",
        altitude_m: (700, 850),
        varieties: &[0, 1, 6, 10],
        processes: &[0, 1, 3],
        landscape: "planaltos irrigados, de florada única e colheita uniforme",
        farms: [
            farm("Fazenda Horizonte do Arrojado", "Guilherme Tonial", "Luís Eduardo Magalhães"),
            farm("Fazenda Rio de Pedras", "Vanessa Copetti", "Barreiras"),
            farm("Fazenda Vau da Boa Sorte", "Nelson Kuhn", "Cocos"),
        ],
    },
    Region {
        name: "Norte Pioneiro do Paraná",
        slug: "norte-pioneiro-do-parana",
        state: "PR",
        registration: "Indicação de Procedência",
        altitude_m: (500, 900),
        varieties: &[0, 4, 9, 10, 8],
        processes: &[0, 1, 2, 4],
        landscape: "encostas de terra vermelha no limite sul do café",
        farms: [
            farm("Sítio Mulheres da Serra", "Cleuza e Ivani Montanher", "Pinhalão"),
            farm("Fazenda Palmital do Norte", "Armando Saldeira", "Carlópolis"),
            farm("Sítio Boa Vista do Cinzas", "Noemi Takahashi", "Ibaiti"),
        ],
    },
    Region {
        name: "Matas de Rondônia",
        slug: "matas-de-rondonia",
        state: "RO",
        registration: "Denominação de Origem",
        altitude_m: (200, 350),
        varieties: &[14, 15],
        processes: &[0, 1, 5, 6],
        landscape: "clareiras da floresta amazônica, com robustas colhidos à mão",
        farms: [
            farm("Sítio Clareira do Jaru", "Poliana e Deocleciano Perrut", "Cacoal"),
            farm("Sítio Rio Machado", "Joana Suruí de Almeida", "Rolim de Moura"),
            farm("Sítio Linha 180", "Claudinei Bernardo", "Novo Horizonte do Oeste"),
        ],
    },
];
