//! From tokens to a tree.

use super::functions::Function;
use super::lexer::{Kind, Operator, Token, shown, tokens};
use super::node::{Node, Shape, too_deep};
use super::{Context, ExpressionError, Functions, MAX_DEPTH, Value};

/// The names that there are.
pub(super) type Known<'a> = (&'a Context, &'a Functions<'a>);

/// Reads an expression; `None` when it is empty. Without `known`, any name of a context
/// will do, and any function that there is somewhere.
pub(super) fn parse(text: &str, known: Option<Known<'_>>) -> Result<Option<Node>, ExpressionError> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { tokens: &tokens, next: 0, known, nesting: 0 };
    let node = parser.or()?;
    match parser.peek() {
        Some(token) => Err(token.unexpected()),
        None => Ok(Some(node)),
    }
}

struct Parser<'t> {
    tokens: &'t [Token<'t>],
    next: usize,
    known: Option<Known<'t>>,
    /// Groups and brackets that are open; reading recurses for each.
    nesting: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Token<'t>> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Result<&'t Token<'t>, ExpressionError> {
        let Some(token) = self.peek() else { return Err(self.unexpected_end()) };
        self.next += 1;
        Ok(token)
    }

    fn take_if(&mut self, kind: &Kind) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == *kind);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, kind: &Kind) -> Result<(), ExpressionError> {
        let token = self.take()?;
        if token.kind == *kind { Ok(()) } else { Err(token.unexpected()) }
    }

    fn unexpected_end(&self) -> ExpressionError {
        let (raw, offset) = self.tokens.last().map_or(("", 0), |last| (last.raw, last.offset));
        let message = format!("Unexpected end of expression: '{}'", shown(raw));
        ExpressionError::syntax(offset, message)
    }

    fn or(&mut self) -> Result<Node, ExpressionError> {
        self.several(Operator::Or, Self::and, Shape::Or)
    }

    fn and(&mut self) -> Result<Node, ExpressionError> {
        self.several(Operator::And, Self::equality, Shape::And)
    }

    /// Operands of `&&` or `||`, kept side by side so that a long chain is not deep.
    fn several(
        &mut self,
        operator: Operator,
        operand: fn(&mut Self) -> Result<Node, ExpressionError>,
        shape: fn(Vec<Node>) -> Shape,
    ) -> Result<Node, ExpressionError> {
        let first = operand(self)?;
        if self.peek().is_none_or(|token| token.kind != Kind::Operator(operator)) {
            return Ok(first);
        }
        let offset = first.offset;
        let mut operands = vec![first];
        while self.take_if(&Kind::Operator(operator)) {
            operands.push(operand(self)?);
        }
        Node::new(offset, shape(operands))
    }

    fn equality(&mut self) -> Result<Node, ExpressionError> {
        self.comparisons(Self::relation, |operator| {
            matches!(operator, Operator::Equal | Operator::NotEqual)
        })
    }

    fn relation(&mut self) -> Result<Node, ExpressionError> {
        self.comparisons(Self::unary, |operator| {
            matches!(
                operator,
                Operator::Less
                    | Operator::LessOrEqual
                    | Operator::Greater
                    | Operator::GreaterOrEqual
            )
        })
    }

    fn comparisons(
        &mut self,
        operand: fn(&mut Self) -> Result<Node, ExpressionError>,
        wanted: fn(Operator) -> bool,
    ) -> Result<Node, ExpressionError> {
        let mut left = operand(self)?;
        while let Some(Token { kind: Kind::Operator(operator), offset, .. }) = self.peek()
            && wanted(*operator)
        {
            self.next += 1;
            let right = operand(self)?;
            let shape = Shape::Compare(*operator, Box::new(left), Box::new(right));
            left = Node::new(*offset, shape)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, ExpressionError> {
        let mut places = Vec::new();
        while let Some(Token { kind: Kind::Not, offset, .. }) = self.peek() {
            self.next += 1;
            places.push(*offset);
        }
        let mut node = self.postfix()?;
        for offset in places.into_iter().rev() {
            node = Node::new(offset, Shape::Not(Box::new(node)))?;
        }
        Ok(node)
    }

    fn postfix(&mut self) -> Result<Node, ExpressionError> {
        let (mut node, has_parts) = self.primary()?;
        while let Some(token) = self.peek().filter(|_| has_parts) {
            let shape = match token.kind {
                Kind::Dot => {
                    self.next += 1;
                    let property = self.take()?;
                    match property.kind {
                        Kind::Star => Shape::All(Box::new(node)),
                        Kind::Word => {
                            let name = Shape::Literal(property.raw.into());
                            let name = Node::new(property.offset, name)?;
                            Shape::Index(Box::new(node), Box::new(name))
                        }
                        _ => return Err(property.unexpected()),
                    }
                }
                Kind::OpenIndex => {
                    self.next += 1;
                    let shape = if self.take_if(&Kind::Star) {
                        Shape::All(Box::new(node))
                    } else {
                        let index = self.nested(token.offset)?;
                        Shape::Index(Box::new(node), Box::new(index))
                    };
                    self.expect(&Kind::CloseIndex)?;
                    shape
                }
                _ => break,
            };
            node = Node::new(token.offset, shape)?;
        }
        Ok(node)
    }

    /// An operand, and whether a dot or a bracket may follow it.
    fn primary(&mut self) -> Result<(Node, bool), ExpressionError> {
        let token = self.take()?;
        let literal = match &token.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(*value),
            Kind::String(text) => text.as_str().into(),
            Kind::Open => {
                let inner = self.nested(token.offset)?;
                self.expect(&Kind::Close)?;
                return Ok((inner, true));
            }
            Kind::Word => return Ok((self.word(token)?, true)),
            _ => return Err(token.unexpected()),
        };
        Ok((Node::new(token.offset, Shape::Literal(literal))?, false))
    }

    fn nested(&mut self, offset: usize) -> Result<Node, ExpressionError> {
        if self.nesting >= MAX_DEPTH {
            return Err(too_deep(offset));
        }
        self.nesting += 1;
        let node = self.or();
        self.nesting -= 1;
        node
    }

    fn word(&mut self, token: &'t Token<'t>) -> Result<Node, ExpressionError> {
        if self.take_if(&Kind::Open) {
            return self.call(token);
        }
        if self.known.is_some_and(|(context, _)| context.get(token.raw).is_none()) {
            let message = format!("Unrecognized named-value: '{}'", shown(token.raw));
            return Err(ExpressionError::syntax(token.offset, message));
        }
        Node::new(token.offset, Shape::Context(token.raw.to_owned()))
    }

    fn call(&mut self, token: &'t Token<'t>) -> Result<Node, ExpressionError> {
        let name = shown(token.raw);
        let refused = |message: String| Err(ExpressionError::syntax(token.offset, message));
        let functions = self.known.map(|(_, functions)| functions);
        let Some(function) = Function::named(token.raw, functions) else {
            return refused(format!("Unrecognized function: '{name}'"));
        };
        let mut arguments = Vec::new();
        if !self.take_if(&Kind::Close) {
            loop {
                arguments.push(self.nested(token.offset)?);
                let end = self.take()?;
                match end.kind {
                    Kind::Comma => {}
                    Kind::Close => break,
                    _ => return Err(end.unexpected()),
                }
            }
        }
        let (least, most) = function.arity();
        if arguments.len() < least {
            return refused(format!("Too few parameters supplied: '{name}'"));
        }
        if arguments.len() > most {
            return refused(format!("Too many parameters supplied: '{name}'"));
        }
        if function == Function::Case && arguments.len() % 2 == 0 {
            return refused(format!(
                "Even number of parameters supplied, requires an odd number of parameters: '{name}'"
            ));
        }
        Node::new(token.offset, Shape::Call(function, arguments))
    }
}
