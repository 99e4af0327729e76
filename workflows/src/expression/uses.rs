//! What an expression names, found without evaluating it.

use super::functions::Function;
use super::node::{Node, Shape};
use super::{ExpressionError, Value, parser};

/// Everything that an expression names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Its contexts, in the order of the text.
    pub references: Vec<Reference>,
    /// Its calls.
    pub calls: Vec<Call>,
}

/// A context and the way into it, such as `github.event.number`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where it begins, in characters from the beginning of the expression.
    pub offset: usize,
    /// The context as written.
    pub context: String,
    /// What stands behind it.
    pub path: Vec<Part>,
    /// Whether its value can become the value of the expression or a part of it; not so where it
    /// is only compared, searched or counted.
    pub is_output: bool,
}

/// A step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The property or the element of that name.
    Name(String),
    /// All of them, or one that only evaluation can tell.
    Any,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where it begins, in characters from the beginning of the expression.
    pub offset: usize,
    /// The function as GitHub spells it.
    pub name: &'static str,
    /// Whether it tells how things went before.
    pub asks_for_status: bool,
}

/// Finds what an expression names, which is given without `${{` and `}}`.
///
/// # Errors
/// The text is no expression.
pub fn uses(text: &str) -> Result<Uses, ExpressionError> {
    let mut uses = Uses::default();
    if let Some(node) = parser::parse(text, None)? {
        uses.walk(&node, true);
    }
    Ok(uses)
}

impl Uses {
    /// Recursion is bounded by the depth of the tree, which the parser bounds.
    fn walk(&mut self, node: &Node, is_output: bool) {
        match &node.shape {
            Shape::Literal(_) => {}
            Shape::Context(_) | Shape::Index(..) | Shape::All(_) => self.path(node, is_output),
            Shape::Call(function, arguments) => {
                let (offset, asks_for_status) = (node.offset, function.asks_for_status());
                self.calls.push(Call { offset, name: function.name(), asks_for_status });
                for (place, argument) in arguments.iter().enumerate() {
                    let shown = match function {
                        Function::Format
                        | Function::Join
                        | Function::ToJson
                        | Function::FromJson => true,
                        // Its conditions are odd places; the last argument is the default.
                        Function::Case => place % 2 == 1 || place + 1 == arguments.len(),
                        _ => false,
                    };
                    self.walk(argument, is_output && shown);
                }
            }
            Shape::Not(operand) => self.walk(operand, false),
            Shape::And(operands) | Shape::Or(operands) => {
                operands.iter().for_each(|operand| self.walk(operand, is_output));
            }
            Shape::Compare(_, left, right) => {
                self.walk(left, false);
                self.walk(right, false);
            }
        }
    }

    fn path(&mut self, node: &Node, is_output: bool) {
        let mut path = Vec::new();
        let mut at = node;
        let context = loop {
            match &at.shape {
                Shape::Index(target, index) => {
                    path.push(match &index.shape {
                        Shape::Literal(Value::String(name)) => Part::Name(name.to_string()),
                        _ => Part::Any,
                    });
                    self.walk(index, false);
                    at = target;
                }
                Shape::All(target) => {
                    path.push(Part::Any);
                    at = target;
                }
                Shape::Context(name) => break name.clone(),
                // `fromJSON(…).x` leads into no context.
                _ => return self.walk(at, is_output),
            }
        };
        path.reverse();
        self.references.push(Reference { offset: at.offset, context, path, is_output });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each reference as text; one that is no output in brackets.
    fn named(text: &str) -> Vec<String> {
        let shown = |reference: &Reference| {
            let mut name = reference.context.clone();
            for part in &reference.path {
                name.push('.');
                name.push_str(match part {
                    Part::Name(name) => name,
                    Part::Any => "*",
                });
            }
            if reference.is_output { name } else { format!("[{name}]") }
        };
        uses(text).unwrap().references.iter().map(shown).collect()
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        assert_eq!(named("github.event.commits.*.message"), ["github.event.commits.*.message"]);
        assert_eq!(named("needs['a']['b'].c"), ["needs.a.b.c"]);
        assert_eq!(named("steps[matrix.x].outputs"), ["[matrix.x]", "steps.*.outputs"]);
        assert_eq!(named("a.b == c && d || !e"), ["[a.b]", "[c]", "d", "[e]"]);
        assert_eq!(named("format('{0}', a, contains(b, c))"), ["a", "[b]", "[c]"]);
        assert_eq!(named("fromJSON(a.b).c"), ["a.b"]);
        assert_eq!(named("case(a, b, c, d, e)"), ["[a]", "b", "[c]", "d", "e"]);
        assert_eq!(named(""), [""; 0]);
    }

    #[test]
    fn calls_are_found_by_their_own_names() {
        let calls = uses("ALWAYS() && tojson(x)").unwrap().calls;
        let names: Vec<_> = calls.iter().map(|call| (call.name, call.asks_for_status)).collect();
        assert_eq!(names, [("always", true), ("toJSON", false)]);
    }
}
