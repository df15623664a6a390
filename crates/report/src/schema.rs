//! Generates the committed JSON Schema. `UPDATE_GENERATED=1 cargo test -p eks-preflight-report` rewrites it.

use crate::{REPORT_SCHEMA, Report};

fn generated() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Report>().to_value();
    let map = schema.as_object_mut().unwrap();
    map.insert("$id".to_owned(), "urn:eks-preflight:report:v1".into());
    let mut text = serde_json::to_string_pretty(&schema).unwrap();
    text.push('\n');
    text
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    #[expect(clippy::disallowed_methods, reason = "whoever makes the generated files says so in the environment")]
    let update = std::env::var_os("UPDATE_GENERATED").is_some();
    if update {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/report.schema.json");
        crate::write(&path, generated().as_bytes()).unwrap();
        return;
    }
    assert!(REPORT_SCHEMA == generated(), "stale: run `make generated`");
}
