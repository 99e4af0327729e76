//! The tree of an expression.

use super::functions::Function;
use super::lexer::Operator;
use super::{ExpressionError, MAX_DEPTH, Value};

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) offset: usize,
    pub(super) shape: Shape,
    /// Levels from here to the deepest leaf.
    depth: usize,
}

#[derive(Debug)]
pub(super) enum Shape {
    Literal(Value),
    /// The name of a context.
    Context(String),
    Call(Function, Vec<Node>),
    Not(Box<Node>),
    /// Any number of operands of `&&`.
    And(Vec<Node>),
    /// Any number of operands of `||`.
    Or(Vec<Node>),
    Compare(Operator, Box<Node>, Box<Node>),
    Index(Box<Node>, Box<Node>),
    /// `.*` and `[*]`.
    All(Box<Node>),
}

impl Node {
    /// A node over others, unless it makes the tree too deep.
    pub(super) fn new(offset: usize, shape: Shape) -> Result<Self, ExpressionError> {
        let deepest = |nodes: &[Self]| nodes.iter().map(|node| node.depth).max().unwrap_or(0);
        let below = match &shape {
            Shape::Literal(_) | Shape::Context(_) => 0,
            Shape::Call(_, nodes) | Shape::And(nodes) | Shape::Or(nodes) => deepest(nodes),
            Shape::Not(operand) => operand.depth,
            // The star is a leaf of its own.
            Shape::All(operand) => operand.depth.max(1),
            Shape::Compare(_, left, right) | Shape::Index(left, right) => {
                left.depth.max(right.depth)
            }
        };
        if below >= MAX_DEPTH {
            return Err(too_deep(offset));
        }
        Ok(Self { offset, shape, depth: below + 1 })
    }

    /// Whether the expression says itself what has to have gone before.
    pub(super) fn asks_for_status(&self) -> bool {
        let any = |nodes: &[Self]| nodes.iter().any(Self::asks_for_status);
        match &self.shape {
            Shape::Literal(_) | Shape::Context(_) => false,
            Shape::Call(function, arguments) => function.asks_for_status() || any(arguments),
            Shape::Not(operand) | Shape::All(operand) => operand.asks_for_status(),
            Shape::And(operands) | Shape::Or(operands) => any(operands),
            Shape::Compare(_, left, right) | Shape::Index(left, right) => {
                left.asks_for_status() || right.asks_for_status()
            }
        }
    }
}

/// The tree, or what is open while reading it, is too deep.
pub(super) fn too_deep(offset: usize) -> ExpressionError {
    ExpressionError::syntax(offset, format!("Exceeded max expression depth {MAX_DEPTH}"))
}
