//! Values over values, as Helm lays them.

use serde_json::{Map, Value};

/// One map laid over another; a null of the upper one takes a key away.
pub(super) fn over(under: &Value, upper: &Value) -> Value {
    match (under, upper) {
        (Value::Object(under), Value::Object(upper)) => {
            let mut all: Map<String, Value> = under.clone();
            for (key, value) in upper {
                match (all.get(key), value) {
                    (_, Value::Null) => {
                        all.shift_remove(key);
                    }
                    (Some(there), value) => {
                        let laid = over(there, value);
                        all.insert(key.clone(), laid);
                    }
                    (None, value) => {
                        all.insert(key.clone(), value.clone());
                    }
                }
            }
            Value::Object(all)
        }
        (_, upper) => upper.clone(),
    }
}
