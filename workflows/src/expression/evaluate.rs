//! From a tree to a value.

use std::cmp::Ordering;
use std::sync::Arc;

use super::budget::Budget;
use super::lexer::Operator;
use super::node::{Node, Shape};
use super::value::folded;
use super::{Context, ExpressionError, Functions, Value};

pub(super) struct Evaluation<'a> {
    pub(super) context: &'a Context,
    pub(super) functions: &'a Functions<'a>,
    pub(super) budget: &'a mut Budget,
}

/// What a node gives. What stands behind `.*` applies to each element on its own, and elements
/// that do not have it fall out.
enum Outcome {
    One(Value),
    Each(Vec<Value>),
}

impl Evaluation<'_> {
    pub(super) fn value(&mut self, node: &Node) -> Result<Value, ExpressionError> {
        Ok(match self.outcome(node)? {
            Outcome::One(value) => value,
            Outcome::Each(values) => Value::Array(values.into()),
        })
    }

    /// Recursion is bounded by the depth of the tree, which the parser bounds.
    fn outcome(&mut self, node: &Node) -> Result<Outcome, ExpressionError> {
        self.budget.step(1, node.offset)?;
        let value = match &node.shape {
            Shape::Literal(value) => value.clone(),
            Shape::Context(name) => self.context.get(name).cloned().unwrap_or(Value::Null),
            Shape::Call(function, arguments) => self.call(node.offset, *function, arguments)?,
            Shape::Not(operand) => Value::Bool(!self.value(operand)?.is_truthy()),
            Shape::And(operands) => self.until(operands, |value| !value.is_truthy())?,
            Shape::Or(operands) => self.until(operands, Value::is_truthy)?,
            Shape::Compare(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                // Text is compared letter by letter.
                self.pay_for_text(&left, node.offset)?;
                Value::Bool(compare(*operator, &left, &right))
            }
            Shape::Index(target, index) => {
                let target = self.outcome(target)?;
                let index = self.value(index)?;
                return self.index(target, &index, node.offset);
            }
            Shape::All(target) => return self.all(target, node.offset),
        };
        Ok(Outcome::One(value))
    }

    pub(super) fn pay_for_text(
        &mut self,
        value: &Value,
        offset: usize,
    ) -> Result<(), ExpressionError> {
        // A step looks at more than one letter of a text.
        const LETTERS_PER_STEP: usize = 64;
        match value {
            Value::String(text) => self.budget.step(text.len() / LETTERS_PER_STEP, offset),
            _ => Ok(()),
        }
    }

    /// The first operand that ends the chain, or else the last one.
    fn until(
        &mut self,
        operands: &[Node],
        ends: fn(&Value) -> bool,
    ) -> Result<Value, ExpressionError> {
        let mut last = Value::Null;
        for operand in operands {
            last = self.value(operand)?;
            if ends(&last) {
                break;
            }
        }
        Ok(last)
    }

    fn index(
        &mut self,
        target: Outcome,
        index: &Value,
        offset: usize,
    ) -> Result<Outcome, ExpressionError> {
        match target {
            Outcome::One(value) => {
                let found = self.part(&value, index, offset)?;
                Ok(Outcome::One(found.unwrap_or(Value::Null)))
            }
            Outcome::Each(values) => {
                let mut found = Vec::new();
                for value in &values {
                    found.extend(self.part(value, index, offset)?);
                }
                Ok(Outcome::Each(found))
            }
        }
    }

    /// The element at an index or the property of a name.
    fn part(
        &mut self,
        value: &Value,
        index: &Value,
        offset: usize,
    ) -> Result<Option<Value>, ExpressionError> {
        match value {
            Value::Array(items) => {
                self.budget.step(1, offset)?;
                Ok(element(items, index.to_number()).cloned())
            }
            Value::Object(entries) if index.is_primitive() => {
                self.budget.step(1 + entries.len(), offset)?;
                let name = index.to_text();
                let found = entries.iter().find(|(key, _)| folded(key).eq(folded(&name)));
                Ok(found.map(|(_, value)| value.clone()))
            }
            _ => Ok(None),
        }
    }

    fn all(&mut self, target: &Node, offset: usize) -> Result<Outcome, ExpressionError> {
        let targets = match self.outcome(target)? {
            Outcome::One(value) => vec![value],
            Outcome::Each(values) => values,
        };
        let mut found = Vec::new();
        for value in &targets {
            match value {
                Value::Array(items) => found.extend(items.iter().cloned()),
                Value::Object(entries) => {
                    found.extend(entries.iter().map(|(_, value)| value.clone()));
                }
                _ => {}
            }
            self.budget.step(1, offset)?;
        }
        self.budget.step(found.len(), offset)?;
        Ok(Outcome::Each(found))
    }
}

fn element(items: &Arc<[Value]>, index: f64) -> Option<&Value> {
    let index = index.floor();
    #[expect(clippy::cast_precision_loss, reason = "no list has 2^53 elements")]
    let within = index >= 0.0 && index < items.len() as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and within the list"
    )]
    within.then(|| &items[index as usize])
}

fn compare(operator: Operator, left: &Value, right: &Value) -> bool {
    let order = || left.order(right);
    match operator {
        Operator::Equal => left.equals(right),
        Operator::NotEqual => !left.equals(right),
        Operator::Less => order() == Some(Ordering::Less),
        Operator::Greater => order() == Some(Ordering::Greater),
        Operator::LessOrEqual => left.equals(right) || order() == Some(Ordering::Less),
        Operator::GreaterOrEqual => left.equals(right) || order() == Some(Ordering::Greater),
        // The parser keeps these as chains.
        Operator::And => left.is_truthy() && right.is_truthy(),
        Operator::Or => left.is_truthy() || right.is_truthy(),
    }
}
