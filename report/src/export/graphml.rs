//! GraphML, which network programs read: Gephi, yEd, Cytoscape, NetworkX.

use std::io;

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};

use super::ExportError;
use crate::picture::Picture;

/// The agencies as nodes, with an edge for every kind that two of them share; in operational pictures the shared subjects too, each with
/// an edge to every agency that has it.
///
/// # Errors
/// [`ExportError::Xml`].
pub fn graphml(picture: &Picture) -> Result<Vec<u8>, ExportError> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let root = writer.create_element("graphml");
    root.with_attribute(("xmlns", "http://graphml.graphdrawing.org/xmlns"))
        .write_inner_content(|writer| {
            let keys = [
                ("type", "node", "string"),
                ("label", "node", "string"),
                ("roles", "node", "string"),
                ("kind", "edge", "string"),
                ("count", "edge", "long"),
                ("at_least", "edge", "boolean"),
            ];
            for (id, of, kind) in keys {
                writer
                    .create_element("key")
                    .with_attributes([("id", id), ("for", of), ("attr.name", id), ("attr.type", kind)])
                    .write_empty()?;
            }
            writer
                .create_element("graph")
                .with_attributes([("id", picture.id.as_str()), ("edgedefault", "undirected")])
                .write_inner_content(|writer| graph(writer, picture))?;
            Ok(())
        })?;
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn graph(writer: &mut Writer<Vec<u8>>, picture: &Picture) -> io::Result<()> {
    let names = picture.names();
    let agency = |at: usize| format!("a{at}");
    for (at, name) in names.iter().enumerate() {
        node(writer, &agency(at), &[("type", "agency"), ("label", name)])?;
    }
    for kind in &picture.kinds {
        for (at, one) in names.iter().enumerate() {
            for (to, other) in names.iter().enumerate().skip(at + 1) {
                let both = kind.of_both(one, other);
                if both > 0 {
                    let at_least = kind.is_partial().to_string();
                    let data = [
                        ("kind", kind.kind.as_str()),
                        ("count", &both.to_string()),
                        ("at_least", &at_least),
                    ];
                    edge(writer, &agency(at), &agency(to), &data)?;
                }
            }
        }
    }
    for one in &picture.shared {
        let roles = one.roles.join(", ");
        node(
            writer,
            &one.pseudonym,
            &[
                ("type", one.kind.as_str()),
                ("label", &one.pseudonym),
                ("roles", &roles),
            ],
        )?;
        for name in &one.agencies {
            if let Some(at) = names.iter().position(|known| known == name) {
                edge(
                    writer,
                    &one.pseudonym,
                    &agency(at),
                    &[("kind", &one.kind), ("count", "1")],
                )?;
            }
        }
    }
    Ok(())
}

fn node(writer: &mut Writer<Vec<u8>>, id: &str, data: &[(&str, &str)]) -> io::Result<()> {
    let element = writer.create_element("node").with_attribute(("id", id));
    element.write_inner_content(|writer| values(writer, data)).map(drop)
}

fn edge(writer: &mut Writer<Vec<u8>>, from: &str, to: &str, data: &[(&str, &str)]) -> io::Result<()> {
    let element = writer
        .create_element("edge")
        .with_attributes([("source", from), ("target", to)]);
    element.write_inner_content(|writer| values(writer, data)).map(drop)
}

fn values(writer: &mut Writer<Vec<u8>>, data: &[(&str, &str)]) -> io::Result<()> {
    for (key, value) in data {
        writer
            .create_element("data")
            .with_attribute(("key", *key))
            .write_text_content(BytesText::new(value))?;
    }
    Ok(())
}
