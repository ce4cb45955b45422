//! Two readings of a document in, whether exactly the requested change lies between them out.
//!
//! An edit is made by text; whether it is right is decided here, by what a parser makes of the new text. Everything but
//! the changed node must have the same value, style, anchor and tag, and stand where it stood.

use std::ops::Range;

use granit_parser::ScalarStyle;
use granit_parser::StructureStyle::Block;
use serde_json::Value;

use super::tape::{Item, Kind, Tape, Tapes};
use super::{lines, scalar};

/// Bytes and what they become.
pub(super) type Splice = (Range<usize>, String);

/// A change in terms of the tape: some items go, others come in their place.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    /// Items that go.
    pub gone: Range<usize>,
    /// Key of an entry that comes.
    pub key: Option<String>,
    /// Value that comes.
    pub value: Option<Value>,
    /// The containers that the change lies in, the root first.
    pub within: Vec<usize>,
}

/// A document larger than this is read anew only around the change. Debug builds do it with every document, and hold
/// the answer against that of the whole.
const SMALL: usize = if cfg!(debug_assertions) { 0 } else { 16 * 1024 };

/// The text with the splices in it, which are in order and apart.
pub(super) fn apply(text: &str, splices: &[Splice]) -> Option<String> {
    let grown: usize = splices.iter().map(|(_, new)| new.len()).sum();
    let mut out = String::with_capacity(text.len() + grown);
    let mut at = 0;
    for (range, new) in splices {
        out.push_str(text.get(at..range.start)?);
        out.push_str(new);
        at = range.end;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

/// Whether the new text differs from the old one by the effect alone.
pub(super) fn accepts(text: &str, tape: &Tape<'_>, splices: &[Splice], effect: &Effect, new: &str) -> bool {
    let moved = Moved { splices };
    let is_large = tape.span.len() > SMALL;
    let near = if is_large { window(text, tape, splices, effect) } else { None };
    let near = near.and_then(|(range, items)| {
        let within = moved.start(range.start)..moved.end(range.end);
        let after = read(new.get(..within.end)?, within.start)?;
        Some(is_effect(tape, items, &after, 1, effect, &moved) && after.items.first()?.next == after.items.len())
    });
    let Some(is_accepted) = near else { return accepts_whole(tape, effect, &moved, new) };
    debug_assert!(
        !is_accepted || accepts_whole(tape, effect, &moved, new),
        "right around the change, wrong in the whole"
    );
    is_accepted
}

fn accepts_whole(tape: &Tape<'_>, effect: &Effect, moved: &Moved<'_>, new: &str) -> bool {
    let Some(after) = Tapes::new(new, tape.span.start).ok().and_then(|mut tapes| tapes.next_tape().ok().flatten())
    else {
        return false;
    };
    let end = moved.end(tape.span.end);
    let ends_same = after.span.end == end || (tape.span.end == moved.before_len(new) && after.span.end == new.len());
    ends_same && after.duplicate.is_none() && is_effect(tape, 0..tape.items.len(), &after, 0, effect, moved)
}

/// A text that is one document up to its end.
fn read(text: &str, start: usize) -> Option<Tape<'_>> {
    let mut tapes = Tapes::new(text, start).ok()?;
    let tape = tapes.next_tape().ok()??;
    let alone = tapes.next_tape().ok()?.is_none() && tape.span.end == text.len() && tape.duplicate.is_none();
    alone.then_some(tape)
}

/// Lines around the change that mean the same when they are read alone, and the items in them: the smallest entry or
/// item of block collections that begins its line. What follows is a sibling of it or of what it lies in, or the
/// document ends; either ends whatever was open before.
fn window(text: &str, tape: &Tape<'_>, splices: &[Splice], effect: &Effect) -> Option<(Range<usize>, Range<usize>)> {
    let (first, last) = (splices.first()?.0.start, splices.last()?.0.end);
    let replaced = effect.value.as_ref().filter(|_| !effect.gone.is_empty()).map(|_| effect.gone.start);
    let chain: Vec<usize> = effect.within.iter().copied().chain(replaced).collect();
    let mut end = tape.span.end;
    let mut best = None;
    for pair in chain.windows(2) {
        let (container, inner) = (&tape.items[pair[0]], pair[1]);
        let is_list = match container.kind {
            Kind::List(Block) => true,
            Kind::Map(Block) => false,
            _ => break,
        };
        let starts_at = |item: usize| {
            let outer = tape.items[item].outer;
            let at = if is_list { text[..outer].rfind('-')? } else { outer };
            lines::is_first(text, at).then(|| lines::start(text, at))
        };
        let head =
            if is_list { inner } else { tape.children(pair[0]).step_by(2).take_while(|&key| key < inner).last()? };
        let next = tape.items[inner].next;
        if next < container.next {
            end = starts_at(next)?;
        }
        match starts_at(head) {
            Some(start) if start < first && last < end => best = Some((start..end, head..next)),
            _ => {}
        }
    }
    best
}

/// Where the splices move the places between them.
struct Moved<'s> {
    splices: &'s [Splice],
}

impl Moved<'_> {
    /// Where a node starts afterwards that started at `at`: what is inserted right there stands before it.
    fn start(&self, at: usize) -> usize {
        self.shift(at, |range| range.end <= at)
    }

    /// Where a node ends afterwards that ended at `at`: what is inserted right there stands after it.
    fn end(&self, at: usize) -> usize {
        self.shift(at, |range| range.end < at || (range.end == at && !range.is_empty()))
    }

    fn shift(&self, at: usize, counts: impl Fn(&Range<usize>) -> bool) -> usize {
        self.splices
            .iter()
            .filter(|(range, _)| counts(range))
            .fold(at, |at, (range, new)| (at + new.len()).saturating_sub(range.len()))
    }

    fn before_len(&self, new: &str) -> usize {
        let (less, more) = self.splices.iter().fold((0, 0), |(l, m), (range, text)| (l + range.len(), m + text.len()));
        (new.len() + less).saturating_sub(more)
    }
}

/// Compares items of the old tape with those of the new one from an index on, around the effect.
fn is_effect(
    before: &Tape<'_>,
    items: Range<usize>,
    after: &Tape<'_>,
    from: usize,
    effect: &Effect,
    moved: &Moved<'_>,
) -> bool {
    let Some(come) = arrival(before, after, from + effect.gone.start - items.start, effect) else { return false };
    let (fewer, more) = (effect.gone.len(), come.len());
    if after.items.len() + fewer != from + items.len() + more {
        return false;
    }
    let to_new = |at: usize| at - items.start + from;
    let later = |at: usize| (to_new(at) + more).saturating_sub(fewer);
    let unchanged = |old: usize, new: usize, next: usize| {
        let (old_item, new_item) = (&before.items[old], &after.items[new]);
        let is_around = effect.within.contains(&old);
        new_item.next == next
            && is_same(before, old, after, new)
            && (is_around || stands_same(old_item, new_item, moved))
    };
    (items.start..effect.gone.start).all(|old| {
        let next = before.items[old].next;
        let is_after = next > effect.gone.start || effect.within.contains(&old);
        unchanged(old, to_new(old), if is_after { later(next) } else { to_new(next) })
    }) && (effect.gone.end..items.end).all(|old| unchanged(old, later(old), later(before.items[old].next)))
}

/// The items that come, if they are the key and value that the effect says.
fn arrival(before: &Tape<'_>, after: &Tape<'_>, at: usize, effect: &Effect) -> Option<Range<usize>> {
    let mut end = at;
    if let Some(key) = &effect.key {
        let item = after.items.get(end)?;
        let is_key = item.anchor == 0 && !item.tagged && is_text(item, key);
        if !is_key {
            return None;
        }
        end = item.next;
    }
    if let Some(value) = &effect.value {
        let anchor = |tape: &Tape<'_>, at: usize| {
            let item = tape.items.get(at)?;
            (item.anchor > 0).then(|| tape.anchors[item.anchor - 1].name.to_string())
        };
        let kept = if effect.gone.is_empty() { None } else { anchor(before, effect.gone.start) };
        if anchor(after, end) != kept || !is_value(after, end, value, kept.is_some()) {
            return None;
        }
        end = after.items.get(end)?.next;
    }
    Some(at..end)
}

/// Whether a subtree is a JSON value to all who may read it.
fn is_value(tape: &Tape<'_>, at: usize, value: &Value, may_have_anchor: bool) -> bool {
    let Some(item) = tape.items.get(at) else { return false };
    if item.tagged || (item.anchor > 0 && !may_have_anchor) {
        return false;
    }
    match (item.kind, value) {
        (Kind::Scalar(_), Value::String(text)) => is_text(item, text),
        (Kind::Scalar(ScalarStyle::Plain), Value::Null) => item.value == "null",
        (Kind::Scalar(ScalarStyle::Plain), Value::Bool(bool)) => item.value == bool.to_string(),
        (Kind::Scalar(ScalarStyle::Plain), Value::Number(number)) => {
            let read = scalar::read(&item.value, super::ScalarStyle::Plain, None);
            item.value == super::write::number(number)
                && (read == *value || (read.is_number() && read.as_f64() == number.as_f64()))
        }
        (Kind::List(_), Value::Array(values)) => {
            let children: Vec<usize> = tape.children(at).collect();
            children.len() == values.len()
                && children.iter().zip(values).all(|(&child, value)| is_value(tape, child, value, false))
        }
        (Kind::Map(_), Value::Object(map)) => {
            let children: Vec<usize> = tape.children(at).collect();
            children.len() == 2 * map.len()
                && children.chunks_exact(2).zip(map).all(|(pair, (key, value))| {
                    let name = &tape.items[pair[0]];
                    name.anchor == 0 && !name.tagged && is_text(name, key) && is_value(tape, pair[1], value, false)
                })
        }
        _ => false,
    }
}

/// Whether a scalar is that text, and nothing but text.
fn is_text(item: &Item<'_>, text: &str) -> bool {
    let Kind::Scalar(style) = item.kind else { return false };
    item.value == text && (style != ScalarStyle::Plain || scalar::is_safe_plain(text, false))
}

fn is_same(before: &Tape<'_>, old: usize, after: &Tape<'_>, new: usize) -> bool {
    let (a, b) = (&before.items[old], &after.items[new]);
    let name = |tape: &'_ Tape<'_>, item: &Item<'_>| {
        tape.anchors.get(item.anchor.wrapping_sub(1)).map(|anchor| anchor.name.to_string())
    };
    a.kind == b.kind
        && a.value == b.value
        && a.tagged == b.tagged
        && (!a.tagged || before.tag(old) == after.tag(new))
        && (a.anchor == 0) == (b.anchor == 0)
        && (a.anchor == 0 || name(before, a) == name(after, b))
}

fn stands_same(a: &Item<'_>, b: &Item<'_>, moved: &Moved<'_>) -> bool {
    if a.span.is_empty() {
        return b.span.is_empty() && [moved.start(a.span.start), moved.end(a.span.start)].contains(&b.span.start);
    }
    b.span == (moved.start(a.span.start)..moved.end(a.span.end))
}
