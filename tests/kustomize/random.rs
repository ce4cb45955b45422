//! Kustomizations that nobody would write: objects, patches and layers put together by chance, the same at every run.

use serde_json::{Map, Value, json};

/// Chance that can be repeated.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below a bound.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    /// Whether something with a chance of one in so many happens.
    fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Some of all, in an order of their own, some twice.
    fn some<'a>(&mut self, all: &[&'a str]) -> Vec<&'a str> {
        (0..self.below(all.len() + 1)).map(|_| self.pick(all)).collect()
    }

    fn maybe(&mut self, map: &mut Map<String, Value>, key: &str, make: impl FnOnce(&mut Self) -> Value) {
        if !self.one_in(3) {
            let value = make(self);
            map.insert(key.to_owned(), value);
        }
    }

    fn word(&mut self) -> Value {
        match self.below(8) {
            0 => json!(self.below(100)),
            1 => json!(self.one_in(2)),
            2 => json!("yes"),
            3 => json!("12"),
            _ => json!(self.pick(&["one", "two", "three"])),
        }
    }
}

fn items(dice: &mut Dice, key: &str, names: &[&str], more: impl Fn(&mut Dice, &mut Map<String, Value>)) -> Value {
    let mut all = Vec::new();
    for name in dice.some(names) {
        let mut map = Map::new();
        map.insert(key.to_owned(), name.parse::<i64>().map_or_else(|_| json!(name), Value::from));
        more(dice, &mut map);
        all.push(Value::Object(map));
    }
    Value::Array(all)
}

fn container(dice: &mut Dice, map: &mut Map<String, Value>) {
    dice.maybe(map, "image", |dice| json!(format!("{}:{}", dice.pick(&["a", "b", "r.example:5000/a"]), dice.below(3))));
    dice.maybe(map, "args", |dice| json!(dice.some(&["x", "y", "z"])));
    dice.maybe(map, "env", |dice| {
        items(dice, "name", &["X", "Y", "Z"], |dice, map| {
            dice.maybe(map, "value", |dice| json!(dice.pick(&["1", "2"])));
        })
    });
    dice.maybe(map, "ports", |dice| {
        items(dice, "containerPort", &["80", "81"], |dice, map| {
            dice.maybe(map, "protocol", |dice| json!(dice.pick(&["TCP", "UDP"])));
            dice.maybe(map, "name", |dice| json!(dice.pick(&["http", "dns"])));
        })
    });
    dice.maybe(map, "volumeMounts", |dice| {
        items(dice, "mountPath", &["/a", "/b"], |dice, map| {
            dice.maybe(map, "name", |dice| json!(dice.pick(&["v", "w"])));
        })
    });
    dice.maybe(map, "resources", |dice| json!({"limits": {"memory": dice.pick(&["1Gi", "2Gi"])}}));
}

fn pod(dice: &mut Dice) -> Value {
    let mut spec = Map::new();
    let names = ["a", "b", "c"];
    dice.maybe(&mut spec, "containers", |dice| items(dice, "name", &names, container));
    dice.maybe(&mut spec, "initContainers", |dice| items(dice, "name", &names, container));
    dice.maybe(&mut spec, "volumes", |dice| {
        items(dice, "name", &["v", "w"], |dice, map| {
            let source = dice.pick(&["emptyDir", "hostPath"]);
            map.insert(source.to_owned(), json!({"path": dice.pick(&["/x", "/y"])}));
        })
    });
    dice.maybe(&mut spec, "tolerations", |dice| items(dice, "key", &["k", "l"], |_, _| {}));
    dice.maybe(&mut spec, "hostAliases", |dice| {
        items(dice, "ip", &["10.0.0.1", "10.0.0.2"], |dice, map| {
            dice.maybe(map, "hostnames", |dice| json!(dice.some(&["h", "i"])));
        })
    });
    dice.maybe(&mut spec, "topologySpreadConstraints", |dice| {
        items(dice, "topologyKey", &["zone", "node"], |dice, map| {
            dice.maybe(map, "whenUnsatisfiable", |dice| json!(dice.pick(&["DoNotSchedule", "ScheduleAnyway"])));
            dice.maybe(map, "maxSkew", |dice| json!(dice.below(3)));
        })
    });
    Value::Object(spec)
}

fn meta(dice: &mut Dice, name: &str) -> Value {
    let mut meta = Map::from_iter([("name".to_owned(), json!(name))]);
    for field in ["labels", "annotations"] {
        dice.maybe(&mut meta, field, |dice| {
            Value::Object(
                dice.some(&["a", "b", "c"])
                    .into_iter()
                    .map(|key| (key.to_owned(), json!(dice.pick(&["1", "x"]))))
                    .collect(),
            )
        });
    }
    dice.maybe(&mut meta, "finalizers", |dice| json!(dice.some(&["f", "g", "h"])));
    Value::Object(meta)
}

/// An object of one of three kinds, always of the same name.
fn object(dice: &mut Dice, kind: usize) -> Value {
    match kind {
        0 => {
            let mut spec = Map::new();
            dice.maybe(&mut spec, "replicas", |dice| json!(dice.below(5)));
            dice.maybe(
                &mut spec,
                "template",
                |dice| json!({"metadata": {"labels": {"app": "web"}}, "spec": pod(dice)}),
            );
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(dice, "web"), "spec": spec})
        }
        1 => {
            let ports = items(dice, "port", &["80", "53"], |dice, map| {
                dice.maybe(map, "protocol", |dice| json!(dice.pick(&["TCP", "UDP"])));
                dice.maybe(map, "targetPort", |dice| json!(dice.below(100)));
            });
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(dice, "web"), "spec": {"ports": ports}})
        }
        _ => {
            let list = items(dice, "name", &["a", "b"], |dice, map| dice.maybe(map, "value", Dice::word));
            let spec = json!({"list": list, "word": dice.word(), "containers": items(dice, "name", &["a"], container)});
            json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": meta(dice, "web"), "spec": spec})
        }
    }
}

/// Directives and nulls, here and there, but not in what an object is called.
fn spoil(dice: &mut Dice, value: &mut Value, depth: usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if depth == 0 && key != "spec" {
                    continue;
                }
                if depth > 0 && dice.one_in(25) {
                    *value = Value::Null;
                } else {
                    spoil(dice, value, depth + 1);
                }
            }
            if depth > 0 && dice.one_in(14) {
                map.insert("$patch".to_owned(), json!(dice.pick(&["delete", "replace", "merge"])));
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                spoil(dice, item, depth + 1);
            }
            if items.iter().all(Value::is_object) && dice.one_in(14) {
                items.push(json!({"$patch": dice.pick(&["delete", "replace", "merge"])}));
            }
        }
        _ => {}
    }
}

fn operations(dice: &mut Dice) -> Value {
    let paths = [
        "/spec/replicas",
        "/metadata/labels",
        "/metadata/labels/a",
        "/metadata/annotations/b",
        "/spec/template/spec/containers/0/image",
        "/spec/template/spec/containers/0/env/-",
        "/spec/template/spec/containers/1",
        "/spec/word",
        "/spec/list/0",
        "/spec/ports/0/port",
    ];
    let mut all = Vec::new();
    for _ in 0..=dice.below(2) {
        let op = dice.pick(&["add", "replace", "remove", "add"]);
        all.push(json!({"op": op, "path": dice.pick(&paths), "value": dice.word()}));
    }
    Value::Array(all)
}

/// The files of a repository: a base, and an overlay with what chance gives it.
pub fn repository(seed: u64) -> Vec<(String, String)> {
    let mut dice = Dice::new(seed);
    let dice = &mut dice;
    let mut files = Vec::new();
    let objects: Vec<Value> = (0..3).map(|kind| object(dice, kind)).collect();
    let text = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    files.push(("base/all.yaml".to_owned(), text));
    let mut base = Map::from_iter([("resources".to_owned(), json!(["all.yaml"]))]);
    layer(dice, &mut base);
    files.push(("base/kustomization.yaml".to_owned(), Value::Object(base).to_string()));
    let mut overlay = Map::from_iter([("resources".to_owned(), json!(["../base"]))]);
    let mut patches = Vec::new();
    for at in 0..=dice.below(2) {
        let mut patch = object(dice, dice.below_kind());
        spoil(dice, &mut patch, 0);
        let mut entry = Map::new();
        if dice.one_in(2) {
            entry.insert("path".to_owned(), json!(format!("p{at}.yaml")));
            files.push((format!("overlay/p{at}.yaml"), patch.to_string()));
        } else {
            entry.insert("patch".to_owned(), json!(patch.to_string()));
        }
        if dice.one_in(3) {
            entry.insert("target".to_owned(), json!({"kind": patch["kind"], "name": "w.*"}));
        }
        patches.push(Value::Object(entry));
    }
    if dice.one_in(3) {
        let target = json!({"kind": dice.pick(&["Deployment", "Service", "Thing"])});
        patches.push(json!({"target": target, "patch": operations(dice).to_string()}));
    }
    overlay.insert("patches".to_owned(), Value::Array(patches));
    if dice.one_in(4) {
        overlay.insert("components".to_owned(), json!(["../component"]));
        let says = json!({"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"});
        let mut component = says.as_object().unwrap().clone();
        layer(dice, &mut component);
        let patch = object(dice, dice.below_kind()).to_string();
        component.insert("patches".to_owned(), json!([{"patch": patch}]));
        files.push(("component/kustomization.yaml".to_owned(), Value::Object(component).to_string()));
    }
    layer(dice, &mut overlay);
    files.push(("overlay/kustomization.yaml".to_owned(), Value::Object(overlay).to_string()));
    let mut top = Map::from_iter([("resources".to_owned(), json!(["../overlay"]))]);
    let target = json!({"kind": dice.pick(&["Deployment", "Service", "Thing"])});
    let mut patch = object(dice, dice.below_kind());
    spoil(dice, &mut patch, 0);
    top.insert("patches".to_owned(), json!([{"patch": patch.to_string(), "target": target}]));
    let merged = json!([{"name": "web", "behavior": dice.pick(&["create", "merge", "replace"]), "literals": ["l=w"]}]);
    if dice.one_in(6) {
        top.insert("configMapGenerator".to_owned(), merged);
    }
    layer(dice, &mut top);
    files.push(("top/kustomization.yaml".to_owned(), Value::Object(top).to_string()));
    files
}

impl Dice {
    fn below_kind(&self) -> usize {
        usize::try_from(self.0 >> 17).unwrap() % 3
    }
}

/// What a layer does to all its objects.
fn layer(dice: &mut Dice, says: &mut Map<String, Value>) {
    let mut sometimes = |dice: &mut Dice, key: &str, value: Value| {
        if dice.one_in(5) {
            says.insert(key.to_owned(), value);
        }
    };
    let tag = json!([{"name": dice.pick(&["a", "b", "r.example:5000/a"]), "newTag": dice.pick(&["v9", "2"])}]);
    sometimes(dice, "images", tag);
    sometimes(dice, "namespace", json!("ns"));
    sometimes(dice, "namePrefix", json!("p-"));
    sometimes(dice, "nameSuffix", json!("-s"));
    sometimes(dice, "commonLabels", json!({"common": "1"}));
    sometimes(dice, "labels", json!([{"pairs": {"a": "9"}, "includeTemplates": true}]));
    sometimes(dice, "commonAnnotations", json!({"b": "8"}));
    sometimes(dice, "replicas", json!([{"name": "web", "count": 7}]));
    sometimes(dice, "configMapGenerator", json!([{"name": "web", "literals": ["k=v"]}]));
}
