//! Archives made for the question, each with its answer.

use super::class::tests::class;
use super::*;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const V2: Generation = Generation::V2;
const V1: Generation = Generation::V1;

/// An archive of these entries.
pub(crate) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(vec![]));
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn name(generation: Generation, kind: Kind) -> String {
    format!("{}{}", generation.root(), generation.suffix(kind))
}

fn pom(generation: Generation, module: &str, version: &str) -> (String, Vec<u8>) {
    let name = format!("META-INF/maven/{}/{module}/pom.properties", generation.group());
    (name, format!("#Generated\nversion={version}\nartifactId={module}\n").into_bytes())
}

fn pack(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    archive(&entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect::<Vec<_>>())
}

/// The module with the chain of credentials.
pub(crate) fn auth(version: &str) -> Vec<u8> {
    pack(&[
        (name(V2, Kind::Chain), vec![]),
        (name(V2, Kind::Provider), vec![]),
        (
            name(V2, Kind::Loader),
            class(&["software.amazon.awssdk.services.sts.internal.StsWebIdentityCredentialsProviderFactory"]),
        ),
        pom(V2, "auth", version),
    ])
}

/// The module that talks to STS.
pub(crate) fn sts(version: &str) -> Vec<u8> {
    pack(&[(name(V2, Kind::Target), vec![]), pom(V2, "sts", version)])
}

fn inspect(bytes: &[u8]) -> JarFindings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.jar");
    std::fs::write(&path, bytes).unwrap();
    inspect_jar(&path).unwrap()
}

fn boot(jars: &[(&str, Vec<u8>)]) -> JarFindings {
    let entries = jars.iter().map(|(name, bytes)| (format!("BOOT-INF/lib/{name}"), bytes.clone()));
    inspect(&pack(&entries.collect::<Vec<_>>()))
}

#[test]
fn a_boot_jar_with_both_modules_is_capable_and_one_without_sts_is_not() {
    let both = boot(&[("auth-2.29.6.jar", auth("2.29.6")), ("sts-2.29.6.jar", sts("2.29.6"))]);
    assert_eq!((both.verdict, both.archives), (JarVerdict::Capable, 3));
    assert_eq!(both.sdks[0].versions[0].at, "app.jar!/BOOT-INF/lib/auth-2.29.6.jar");
    let lacking = boot(&[("auth-2.29.6.jar", auth("2.29.6"))]);
    assert_eq!((lacking.verdict, lacking.sdks[0].sts_module), (JarVerdict::Incapable, false));
    assert!(lacking.sdks[0].because.contains("software.amazon.awssdk:sts"), "{}", lacking.sdks[0].because);
}

#[test]
fn versions_are_compared_with_the_oldest_that_knows_web_identity() {
    let with = |auth_version: &str| boot(&[("auth.jar", auth(auth_version)), ("sts.jar", sts(auth_version))]).verdict;
    assert_eq!(with("2.10.11"), JarVerdict::Capable);
    assert_eq!(with("2.10.10"), JarVerdict::Incapable);
    let mixed = boot(&[("a.jar", auth("2.5.0")), ("b.jar", auth("2.29.6")), ("sts.jar", sts("2.29.6"))]);
    assert_eq!(mixed.verdict, JarVerdict::CannotTell);
    assert!(mixed.sdks[0].because.contains("2.5.0 and 2.29.6"));
}

#[test]
fn each_generation_needs_its_own_module() {
    let v1 = |sts: bool, version: &str| {
        let mut entries = vec![
            (name(V1, Kind::Chain), vec![]),
            (name(V1, Kind::Provider), vec![]),
            pom(V1, "aws-java-sdk-core", version),
        ];
        if sts {
            entries.extend([(name(V1, Kind::Target), vec![]), pom(V1, "aws-java-sdk-sts", version)]);
        }
        pack(&entries)
    };
    assert_eq!(inspect(&v1(true, "1.12.700")).verdict, JarVerdict::Capable);
    assert_eq!(inspect(&v1(false, "1.12.700")).verdict, JarVerdict::Incapable);
    assert_eq!(inspect(&v1(true, "1.11.703")).verdict, JarVerdict::Incapable);
    let both = boot(&[("v1.jar", v1(true, "1.12.700")), ("auth.jar", auth("2.29.6"))]);
    assert_eq!(
        both.sdks.iter().map(|sdk| sdk.verdict).collect::<Vec<_>>(),
        [JarVerdict::Capable, JarVerdict::Incapable]
    );
    assert_eq!(both.verdict, JarVerdict::Incapable);
}

#[test]
fn a_shaded_jar_is_known_by_its_classes() {
    let shaded =
        |kinds: &[Kind]| inspect(&pack(&kinds.iter().map(|kind| (name(V2, *kind), vec![])).collect::<Vec<_>>()));
    let whole = shaded(&[Kind::Chain, Kind::Provider, Kind::Target]);
    assert_eq!(whole.verdict, JarVerdict::Capable);
    assert!(whole.sdks[0].because.contains("unnamed version"));
    assert_eq!(shaded(&[Kind::Chain, Kind::Provider]).verdict, JarVerdict::Incapable);
    assert_eq!(shaded(&[Kind::Chain, Kind::Target]).verdict, JarVerdict::Incapable);
    let old = inspect(&pack(&[
        (name(V1, Kind::Chain), vec![]),
        (name(V1, Kind::Provider), vec![]),
        (name(V1, Kind::Target), vec![]),
    ]));
    assert_eq!(old.verdict, JarVerdict::CannotTell);
}

#[test]
fn the_sdks_own_version_files_are_read() {
    let v2 = inspect(&pack(&[
        (name(V2, Kind::Chain), vec![]),
        (name(V2, Kind::Target), vec![]),
        (name(V2, Kind::Version), class(&["SDK_VERSION", "2.20.1"])),
    ]));
    assert_eq!((v2.verdict, v2.sdks[0].versions[0].version.as_str()), (JarVerdict::Capable, "2.20.1"));
    let v1 = inspect(&pack(&[
        (name(V1, Kind::Chain), vec![]),
        (name(V1, Kind::Target), vec![]),
        (name(V1, Kind::Version), b"platform=java\nversion=1.11.100\n".to_vec()),
    ]));
    assert_eq!(v1.verdict, JarVerdict::Incapable);
    let named = boot(&[("aws-java-sdk-core-1.12.1.jar", pack(&[(name(V1, Kind::Chain), vec![])]))]);
    assert_eq!(named.sdks[0].versions[0].version, "1.12.1");
}

#[test]
fn a_moved_sdk_is_followed_to_where_it_looks() {
    let moved = |target: &str, constant: &str| {
        let root = "acme/shaded/awssdk/";
        inspect(&pack(&[
            (format!("{root}{}", V2.suffix(Kind::Chain)), vec![]),
            (format!("{root}{}", V2.suffix(Kind::Provider)), vec![]),
            (format!("{root}{}", V2.suffix(Kind::Loader)), class(&[constant])),
            (format!("{target}{}", V2.suffix(Kind::Target)), vec![]),
        ]))
    };
    let class_name = "services.sts.internal.StsWebIdentityCredentialsProviderFactory";
    let here = format!("acme.shaded.awssdk.{class_name}");
    assert_eq!(moved("acme/shaded/awssdk/", &here).verdict, JarVerdict::Capable);
    let elsewhere = format!("software.amazon.awssdk.{class_name}");
    let broken = moved("acme/shaded/awssdk/", &elsewhere);
    assert_eq!(broken.verdict, JarVerdict::Incapable);
    assert!(broken.sdks[0].because.contains("looks for its STS module at software/"), "{}", broken.sdks[0].because);
    assert_eq!(moved("acme/shaded/awssdk/", "nothing").verdict, JarVerdict::CannotTell);
}

#[test]
fn maven_notes_without_classes_prove_nothing() {
    let notes = inspect(&pack(&[pom(V2, "auth", "2.29.6"), pom(V2, "sts", "2.29.6")]));
    assert_eq!(notes.verdict, JarVerdict::CannotTell);
    // A minimiser drops the class that is loaded by name and keeps the notes.
    let minimised =
        inspect(&pack(&[(name(V2, Kind::Chain), vec![]), pom(V2, "auth", "2.29.6"), pom(V2, "sts", "2.29.6")]));
    assert_eq!(minimised.verdict, JarVerdict::Incapable);
}

#[test]
fn wars_directories_and_unpacked_classes_are_looked_into() {
    let war = pack(&[
        ("WEB-INF/lib/auth-2.29.6.jar".to_owned(), auth("2.29.6")),
        (format!("WEB-INF/classes/{}", name(V2, Kind::Target)), vec![]),
    ]);
    assert_eq!(inspect(&war).verdict, JarVerdict::Capable);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lib")).unwrap();
    std::fs::write(folder.path().join("lib/auth-2.29.6.jar"), auth("2.29.6")).unwrap();
    assert_eq!(inspect_jar(folder.path()).unwrap().verdict, JarVerdict::Incapable);
    let unpacked = folder.path().join("BOOT-INF/classes").join(name(V2, Kind::Target));
    std::fs::create_dir_all(unpacked.parent().unwrap()).unwrap();
    std::fs::write(&unpacked, b"").unwrap();
    assert_eq!(inspect_jar(folder.path()).unwrap().verdict, JarVerdict::Capable);
}

/// A file or a folder of files, each with these archives in it.
fn folder(files: &[(&str, Vec<u8>)]) -> JarFindings {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let only = folder.path().join(files[0].0);
    inspect_jar(if files.len() == 1 { &only } else { folder.path() }).unwrap()
}

fn holding(jars: &[(&str, Vec<u8>)]) -> Vec<u8> {
    archive(&jars.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>())
}

/// A jar with all classes of the SDK laid flat into it.
fn shaded(with_sts: bool) -> Vec<u8> {
    let mut entries = vec![(name(V2, Kind::Chain), vec![]), (name(V2, Kind::Provider), vec![])];
    entries.extend(with_sts.then(|| (name(V2, Kind::Target), vec![])));
    pack(&entries)
}

#[test]
fn applications_in_one_folder_are_judged_apart() {
    let (auth, sts) = (("BOOT-INF/lib/auth.jar", auth("2.29.6")), ("BOOT-INF/lib/sts.jar", sts("2.29.6")));
    let (whole, half) = (holding(&[auth.clone(), sts.clone()]), holding(std::slice::from_ref(&auth)));
    for (a, b) in [(&whole, &half), (&shaded(true), &shaded(false)), (&whole, &shaded(false))] {
        let mixed = folder(&[("a.jar", a.clone()), ("b.jar", b.clone())]);
        assert_eq!(mixed.verdict, JarVerdict::CannotTell, "{mixed:#?}");
        let verdicts: Vec<JarVerdict> = mixed.sdks.iter().map(|sdk| sdk.verdict).collect();
        assert_eq!(verdicts, [JarVerdict::Capable, JarVerdict::CannotTell]);
        assert!(mixed.sdks[1].because.contains("b.jar: ") && mixed.sdks[1].because.contains("another application"));
        assert!(!mixed.sdks[1].sts_module);
    }
    assert_eq!(folder(&[("a.jar", whole.clone()), ("b.jar", whole.clone())]).verdict, JarVerdict::Capable);
    assert_eq!(folder(&[("a.jar", half.clone()), ("b.jar", half.clone())]).verdict, JarVerdict::Incapable);
    assert_eq!(folder(&[("a.jar", half), ("sts.jar", sts.1)]).verdict, JarVerdict::CannotTell);
}

#[test]
fn libraries_in_one_folder_or_zip_are_one_application() {
    let (auth, sts) = (("lib/auth.jar", auth("2.29.6")), ("lib/sts.jar", sts("2.29.6")));
    let libraries = folder(&[auth.clone(), sts.clone()]);
    assert_eq!((libraries.verdict, libraries.sdks.len()), (JarVerdict::Capable, 1));
    assert_eq!(folder(&[auth.clone(), ("lib/app.jar", archive(&[]))]).verdict, JarVerdict::Incapable);
    let zip = |jars: &[(&str, Vec<u8>)]| folder(&[("function.zip", holding(jars))]).verdict;
    assert_eq!(zip(&[auth.clone(), sts.clone()]), JarVerdict::Capable);
    assert_eq!(zip(&[auth]), JarVerdict::Incapable);
    assert_eq!(zip(&[("a.jar", shaded(true)), ("b.jar", shaded(false))]), JarVerdict::CannotTell);
}

#[test]
fn the_wars_of_an_ear_are_judged_apart() {
    let war = |jars: &[Vec<u8>]| {
        let names = ["WEB-INF/lib/0.jar", "WEB-INF/lib/1.jar"];
        holding(&names.into_iter().zip(jars.iter().cloned()).collect::<Vec<_>>())
    };
    let (whole, half) = (war(&[auth("2.29.6"), sts("2.29.6")]), war(&[auth("2.29.6")]));
    let ear = |wars: &[(&str, Vec<u8>)]| folder(&[("shop.ear", holding(wars))]);
    assert_eq!(ear(&[("a.war", whole.clone()), ("b.war", whole.clone())]).verdict, JarVerdict::Capable);
    let mixed = ear(&[("a.war", whole), ("b.war", half.clone())]);
    assert_eq!(mixed.verdict, JarVerdict::CannotTell);
    assert!(mixed.sdks[1].because.starts_with("shop.ear!/b.war: "), "{}", mixed.sdks[1].because);
    assert_eq!(ear(&[("a.war", half.clone()), ("b.war", half.clone())]).verdict, JarVerdict::Incapable);
    assert_eq!(ear(&[("lib/sts.jar", sts("2.29.6")), ("b.war", half)]).verdict, JarVerdict::CannotTell);
    assert_eq!(ear(&[("lib/sts.jar", sts("2.29.6")), ("lib/auth.jar", auth("2.29.6"))]).verdict, JarVerdict::Capable);
}

#[test]
fn what_cannot_be_looked_into_leaves_the_answer_open() {
    let broken = boot(&[("auth.jar", auth("2.29.6")), ("sts.jar", b"not a zip".to_vec())]);
    assert_eq!((broken.verdict, broken.incomplete.len()), (JarVerdict::CannotTell, 1));
    let mut deep = sts("2.29.6");
    for _ in 0..6 {
        deep = archive(&[("deeper.jar", &deep)]);
    }
    let deep = inspect(&deep);
    assert_eq!(deep.verdict, JarVerdict::CannotTell);
    assert!(deep.incomplete[0].contains("deeper than 4"));
    let large = vec![0; 2 * 1024 * 1024];
    let large = inspect(&pack(&[(name(V2, Kind::Loader), large)]));
    assert!(large.incomplete[0].contains("larger than"));
}

#[test]
fn an_archive_without_an_sdk_says_so_and_a_file_that_is_none_is_an_error() {
    assert_eq!(inspect(&archive(&[("com/acme/App.class", b"")])).verdict, JarVerdict::NoSdk);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.jar");
    assert!(matches!(inspect_jar(&path), Err(JarError::Read { .. })));
    std::fs::write(&path, "text").unwrap();
    assert!(matches!(inspect_jar(&path), Err(JarError::NoArchive { .. })));
}

#[test]
fn findings_are_written_in_the_words_of_the_contract() {
    let written = serde_json::to_value(boot(&[("auth-2.29.6.jar", auth("2.29.6"))])).unwrap();
    assert_eq!(written["verdict"], "incapable");
    assert_eq!(written["sdks"][0]["generation"], "v2");
    assert_eq!(written["sdks"][0]["stsModule"], false);
    assert_eq!(written["sdks"][0]["versions"][0]["module"], "auth");
}
