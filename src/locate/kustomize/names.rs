//! Objects whose names changed in, references to them by their new names out.

use super::fields::{self, Config, Make};
use super::layer::Refusal;
use super::resource::{Id, Resource};
use super::tree::{Data, From, Scalar, Tree};

/// An object as others may refer to it.
struct Named {
    id: Id,
    previous: Vec<Id>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    from: From,
}

/// Writes the new name of each object wherever another says its old one.
pub(super) fn fix(all: &mut [Resource], config: &Config) -> Result<(), Refusal> {
    let mut named: Vec<Named> = all.iter().map(Named::of).collect();
    for (at, resource) in all.iter_mut().enumerate() {
        let first = resource.first_id();
        let binding = bound_namespaces(resource);
        for reference in &config.name_reference {
            for spec in reference.referrers.iter().filter(|spec| spec.is_for(&first)) {
                let id = resource.id();
                let role = spec.path.ends_with("roleRef/name").then(|| role_of(&resource.tree)).flatten();
                let search = Search { named: &named, referrer: &named[at], id: &id, binding: &binding, role };
                let target = (&*reference.group, &*reference.version, &*reference.kind);
                let mut set = |tree: &mut Tree| search.set(tree, target);
                // The kind of the referrer has been looked at: by what it was called at first.
                let spec = fields::Spec { group: "".into(), version: "".into(), kind: "".into(), ..spec.clone() };
                let from = resource.tree.from.clone();
                fields::apply(&mut resource.tree, &spec, Make::Nothing, &from, &mut set)
                    .map_err(|why| from.broken(why))?;
            }
        }
        named[at] = Named::of(resource);
    }
    Ok(())
}

/// Namespaces whose `ServiceAccounts` a `RoleBinding` names.
fn bound_namespaces(resource: &Resource) -> Vec<String> {
    if resource.kind() != "RoleBinding" {
        return Vec::new();
    }
    let subjects = resource.tree.get("subjects").map_or(&[][..], Tree::items);
    let of_account = |subject: &&Tree| subject.get("kind").is_some_and(|kind| kind.text() == "ServiceAccount");
    subjects.iter().filter(of_account).filter_map(|s| s.get("namespace")).map(|ns| ns.text().to_owned()).collect()
}

/// Group and kind of the role that a binding names.
fn role_of(binding: &Tree) -> Option<(String, String)> {
    let role = binding.get("roleRef")?;
    Some((role.get("apiGroup")?.text().to_owned(), role.get("kind")?.text().to_owned()))
}

impl Named {
    fn of(resource: &Resource) -> Self {
        let name = resource.tree.at(&["metadata", "name"]).unwrap_or(&resource.tree);
        Self {
            id: resource.id(),
            previous: resource.previous.clone(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
            from: name.from.clone(),
        }
    }

    /// Whether two were made by the same layers, as far as prefixes and suffixes tell.
    fn has_affixes_of(&self, other: &Self, allow_none: bool) -> bool {
        let fits = |a: &[String], b: &[String]| {
            let (short, long) = if a.len() > b.len() { (b, a) } else { (a, b) };
            if short.is_empty() { allow_none || long.is_empty() } else { long.ends_with(short) }
        };
        fits(&self.prefixes, &other.prefixes) && fits(&self.suffixes, &other.suffixes)
    }
}

/// What is said of an object besides its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said<'n> {
    /// Nothing: only the name is written.
    Name,
    /// It stands in a map that could say a namespace.
    AnySpace,
    Space(&'n str),
}

/// A search for the object that a name means.
struct Search<'n> {
    named: &'n [Named],
    referrer: &'n Named,
    id: &'n Id,
    binding: &'n [String],
    role: Option<(String, String)>,
}

impl<'n> Search<'n> {
    fn set(&self, tree: &mut Tree, target: (&str, &str, &str)) -> Result<(), String> {
        if tree.is_null() {
            return Ok(());
        }
        match &mut tree.data {
            Data::Scalar(_) => self.set_name(tree, target),
            Data::Map(_) => self.set_map(tree, target),
            Data::List(items) => items.iter_mut().try_for_each(|item| match item.data {
                Data::Scalar(_) => self.set_name(item, target),
                Data::Map(_) => self.set_map(item, target),
                Data::List(_) => Err("a name was expected".to_owned()),
            }),
        }
    }

    fn set_name(&self, tree: &mut Tree, target: (&str, &str, &str)) -> Result<(), String> {
        let Some(found) = self.find(tree.text(), target, Said::Name)? else { return Ok(()) };
        if found.id.name != tree.text() {
            let from = tree.from.clone().made("it is the name of another object");
            tree.rewrite(found.id.name.clone(), from);
        }
        Ok(())
    }

    /// A map with a name and a namespace: a subject of a binding, the service of a webhook.
    fn set_map(&self, tree: &mut Tree, target: (&str, &str, &str)) -> Result<(), String> {
        let Some(name) = tree.get("name").map(|name| name.text().to_owned()) else {
            return Err("a map with a `name` was expected".to_owned());
        };
        let space = tree.get("namespace").map(|space| space.text().to_owned());
        let Some(found) = self.find(&name, target, space.as_deref().map_or(Said::AnySpace, Said::Space))? else {
            return Ok(());
        };
        let (new, namespace) = (&found.id.name, &found.id.namespace);
        if *new == name && namespace.is_empty() {
            return Ok(());
        }
        let mut put = |key: &str, text: &str| {
            let from = found.from.clone().made("it is the name of another object");
            match tree.get_mut(key) {
                Some(own) if own.text() == text => {}
                Some(own) => own.rewrite(text.to_owned(), from),
                None => tree.put(key, Tree::scalar(Scalar::plain(text), from)),
            }
        };
        put("name", new);
        if !namespace.is_empty() {
            put("namespace", namespace);
        }
        Ok(())
    }

    /// The one object that a name means.
    fn find(
        &self,
        name: &str,
        (group, version, kind): (&str, &str, &str),
        said: Said<'_>,
    ) -> Result<Option<&'n Named>, String> {
        let mut found: Vec<&Named> = self.named.iter().filter(|named| self.may_refer_to(named)).collect();
        if let Said::Space(space) = said {
            let first = |named: &Named| named.previous.first().unwrap_or(&named.id).space().to_owned();
            let by_first: Vec<&Named> = found.iter().copied().filter(|named| first(named) == space).collect();
            let by_now = || found.iter().copied().filter(|named| named.id.space() == space).collect();
            found = if by_first.is_empty() { by_now() } else { by_first };
        }
        found.retain(|named| named.previous.iter().any(|id| id.name == name));
        found.retain(|named| named.previous.iter().any(|id| id.is_kind(group, version, kind)));
        if let Some((group, kind)) = &self.role {
            found.retain(|named| named.previous.iter().any(|id| id.is_kind(group, "", kind)));
        }
        found.retain(|named| self.is_near(named));
        if found.len() == 1 {
            return Ok(found.pop());
        }
        found.retain(|named| named.has_affixes_of(self.referrer, true));
        if found.len() > 1 {
            found.retain(|named| named.has_affixes_of(self.referrer, false));
        }
        let same =
            |a: &Named, b: &Named| a.id.name == b.id.name && (said == Said::Name || a.id.namespace == b.id.namespace);
        match found.as_slice() {
            [] => Ok(None),
            [first, rest @ ..] if rest.iter().all(|other| same(first, other)) => Ok(Some(first)),
            _ => Err(format!("`{name}` may mean several objects")),
        }
    }

    /// Whether objects of these namespaces can refer to each other at all.
    fn may_refer_to(&self, other: &Named) -> bool {
        self.id.is_of_cluster()
            || other.id.is_of_cluster()
            || other.id.space() == self.id.space()
            || self.binding.contains(&other.id.namespace)
    }

    fn is_near(&self, other: &Named) -> bool {
        self.id.is_of_cluster()
            || other.id.is_of_cluster()
            || other.id.kind == "ServiceAccount"
            || other.id.space() == self.id.space()
    }
}
