//! What a layer does to all its objects: namespace, prefix and suffix, labels, annotations, replicas.

use super::fields::{self, Config, Make, Spec};
use super::layer::{self, Layer, Refusal};
use super::patch::no_two;
use super::resource::Resource;
use super::tree::{Data, Scalar, Tree};

/// Puts objects into a namespace, all but those that belong to none.
pub(super) fn namespace(all: &mut [Resource], name: &Tree, specs: &[Spec]) -> Result<(), Refusal> {
    for resource in all.iter_mut() {
        resource.remember();
        let id = resource.id();
        let mut set = |tree: &mut Tree| {
            if !matches!(tree.data, Data::Scalar(_)) {
                return Err("a scalar was expected".to_owned());
            }
            tree.write_string(name.text(), name.from.clone());
            Ok(())
        };
        let own = Spec::any("metadata/namespace");
        let broken = |why: String| name.from.broken(why);
        if !id.is_of_cluster() {
            fields::apply(&mut resource.tree, &own, Make::Scalar, &name.from, &mut set).map_err(broken)?;
        }
        let is_binding = matches!(id.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        if is_binding {
            subjects(&mut resource.tree, name);
        }
        for spec in specs.iter().filter(|spec| spec.is_for(&id)) {
            let skip = spec.path == "metadata/namespace"
                || (spec.path == "metadata/name" && id.api_version() != "v1")
                || (is_binding && spec.path == "subjects/namespace");
            if !skip {
                fields::apply(&mut resource.tree, spec, Make::Scalar, &name.from, &mut set).map_err(broken)?;
            }
        }
    }
    no_two(all, &name.from)
}

/// Of the subjects of a binding, only `default` moves into the namespace by itself.
fn subjects(binding: &mut Tree, name: &Tree) {
    let Some(Data::List(subjects)) = binding.get_mut("subjects").map(|tree| &mut tree.data) else { return };
    let of_default = |subject: &&mut Tree| subject.get("name").is_some_and(|name| name.text() == "default");
    for subject in subjects.iter_mut().filter(of_default) {
        let value = Tree::scalar(Scalar::string(name.text()), name.from.clone());
        subject.put("namespace", value);
    }
}

/// Which end of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Prefix,
    Suffix,
}

/// Adds to the names of objects, all but those whose name means something of its own.
pub(super) fn affix(all: &mut [Resource], affix: &Tree, end: End, specs: &[Spec]) -> Result<(), Refusal> {
    let why = "a prefix or a suffix was added to it";
    for resource in all {
        let id = resource.first_id();
        let keeps = matches!(id.kind.as_str(), "CustomResourceDefinition" | "Namespace")
            || id.is_kind("apiregistration.k8s.io", "", "APIService");
        if keeps {
            continue;
        }
        for spec in specs.iter().filter(|spec| spec.is_for(&id)) {
            if spec.path == "metadata/name" {
                match end {
                    End::Prefix => resource.prefixes.push(affix.text().to_owned()),
                    End::Suffix => resource.suffixes.push(affix.text().to_owned()),
                }
                resource.remember();
            }
            let mut set = |tree: &mut Tree| {
                let text = match end {
                    End::Prefix => format!("{}{}", affix.text(), tree.text()),
                    End::Suffix => format!("{}{}", tree.text(), affix.text()),
                };
                let from = tree.from.clone().made(why);
                tree.rewrite(text, from);
                Ok(())
            };
            fields::apply(&mut resource.tree, spec, Make::Scalar, &affix.from, &mut set)
                .map_err(|why| affix.from.broken(why))?;
        }
    }
    Ok(())
}

/// `labels` and `commonLabels`.
pub(super) fn labels(all: &mut [Resource], layer: &Layer, config: &Config) -> Result<(), Refusal> {
    for entry in layer.list("labels")? {
        let flag = |key: &str| entry.get(key).is_some_and(|tree| tree.text() == "true");
        let mut specs: Vec<Spec> = layer::list(entry, "fields")?.iter().map(Spec::read).collect();
        let mut more = config.labels.clone();
        if flag("includeSelectors") {
            more.extend(config.common_labels.iter().cloned());
        } else {
            if flag("includeTemplates") {
                more.extend(config.template_labels.iter().cloned());
            }
            more.push(Spec::any("metadata/labels"));
        }
        more.into_iter().try_for_each(|spec| fields::add(&mut specs, spec)).map_err(|why| entry.from.broken(why))?;
        set_pairs(all, &layer::pairs(entry, "pairs")?, &specs)?;
    }
    set_pairs(all, &layer::pairs(&layer.says, "commonLabels")?, &config.common_labels)
}

/// `commonAnnotations`.
pub(super) fn annotations(all: &mut [Resource], layer: &Layer, config: &Config) -> Result<(), Refusal> {
    set_pairs(all, &layer::pairs(&layer.says, "commonAnnotations")?, &config.common_annotations)
}

/// Sets entries of maps: each pair wherever a spec leads.
pub(super) fn set_pairs(all: &mut [Resource], pairs: &[(&str, &Tree)], specs: &[Spec]) -> Result<(), Refusal> {
    for resource in all {
        let id = resource.id();
        for (key, value) in pairs {
            // What is made for this pair is one scalar in several places.
            resource.last_shared += 1;
            for spec in specs.iter().filter(|spec| spec.is_for(&id)) {
                set_pair(resource, key, value, spec).map_err(|why| value.from.broken(why))?;
            }
        }
    }
    Ok(())
}

fn set_pair(resource: &mut Resource, key: &str, value: &Tree, spec: &Spec) -> Result<(), String> {
    let made = Tree::scalar(Scalar::string(value.text()), value.from.clone());
    let made = Tree { shared: resource.last_shared, ..made };
    let mut written = Vec::new();
    let mut set = |tree: &mut Tree| {
        if !matches!(tree.data, Data::Map(_)) {
            return Err("a map was expected".to_owned());
        }
        if let Some(own) = tree.get_mut(key) {
            own.write_string(value.text(), value.from.clone());
            written.extend((own.shared > 0).then_some(own.shared));
        } else {
            tree.put(key, made.clone());
        }
        Ok(())
    };
    fields::apply(&mut resource.tree, spec, Make::Map, &value.from, &mut set)?;
    for shared in written {
        resource.tree.spread(shared, &Scalar::string(value.text()), &value.from);
    }
    Ok(())
}

/// `replicas`: the count of a workload, by any of its names.
pub(super) fn replicas(all: &mut [Resource], layer: &Layer, config: &Config, is_partial: bool) -> Result<(), Refusal> {
    for entry in layer.list("replicas")? {
        let name = layer::text(entry, "name")?.map_or("", Tree::text);
        let count = entry.get("count").filter(|count| !count.is_null() && count.text().parse::<i64>().is_ok());
        let zero;
        let count = match (count, entry.get("count")) {
            (Some(count), _) => count,
            (None, None) => {
                zero = Tree::scalar(Scalar::plain("0"), entry.from.clone());
                &zero
            }
            (None, Some(count)) => return Err(count.from.broken("`count` must be a number")),
        };
        let mut found = false;
        for resource in all.iter_mut() {
            for spec in &config.replicas {
                if !resource.ids().any(|id| id.name == name && spec.is_for(&id)) {
                    continue;
                }
                found = true;
                let mut set = |tree: &mut Tree| {
                    // A count in quotes stays in quotes.
                    if tree.text().is_empty() {
                        tree.write(Scalar::plain(count.text()), count.from.clone());
                    } else {
                        tree.rewrite(count.text().to_owned(), count.from.clone());
                    }
                    Ok(())
                };
                if spec.is_for(&resource.id()) {
                    fields::apply(&mut resource.tree, spec, Make::Scalar, &count.from, &mut set)
                        .map_err(|why| count.from.broken(why))?;
                }
            }
        }
        if !found && !is_partial {
            return Err(entry.from.broken(format!("nothing with replicas is called {name}")));
        }
    }
    Ok(())
}
