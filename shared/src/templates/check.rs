//! What is wrong with a template, before any event comes.

use std::ops::Range;

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};
use minijinja::machinery::parse;

use super::language::{FILTERS, TESTS};
use super::{MAX_TEMPLATE_BYTES, context};

/// One mistake in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Bytes of the template.
    pub at: Range<usize>,
    pub message: String,
    /// The name that is not known and the names that are, where that is what is wrong.
    pub unknown: Option<(String, Vec<&'static str>)>,
    pub help: Option<&'static str>,
}

/// Deeper ones are refused, long before the compiler's own recursion could use up the stack.
const MAX_DEPTH: usize = 40;
/// What a loop knows of itself.
const LOOP: [&str; 7] = ["index", "index0", "revindex", "revindex0", "first", "last", "length"];
/// The names that are maps; all others are text, numbers or lists.
const MAPS: [&str; 1] = ["tags"];

pub(super) fn flaws(source: &str) -> Result<(), Vec<Flaw>> {
    let mut check = Check::default();
    if source.len() > MAX_TEMPLATE_BYTES {
        check.flaw(0..source.len(), format!("a template has at most {MAX_TEMPLATE_BYTES} bytes"), None);
        return Err(check.flaws);
    }
    match parse(source, "template", minijinja::syntax::SyntaxConfig::default()) {
        Ok(template) => check.statement(&template),
        Err(error) => {
            let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            check.flaw(error.range().unwrap_or(0..source.len()), message, None);
        }
    }
    check.flaws.sort_by_key(|flaw| flaw.at.start);
    if check.flaws.is_empty() { Ok(()) } else { Err(check.flaws) }
}

/// Whether a template without flaws asks for the value of this name.
pub(super) fn names(source: &str, name: &str) -> bool {
    let mut check = Check::default();
    if let Ok(template) = parse(source, "template", minijinja::syntax::SyntaxConfig::default()) {
        check.statement(&template);
    }
    check.named.contains(&name)
}

#[derive(Default)]
struct Check<'t> {
    flaws: Vec<Flaw>,
    /// Names that loops give, the innermost last.
    scopes: Vec<Vec<&'t str>>,
    /// Names of the context, as they are met.
    named: Vec<&'t str>,
    depth: usize,
}

impl<'t> Check<'t> {
    fn flaw(&mut self, at: Range<usize>, message: impl Into<String>, help: Option<&'static str>) {
        self.flaws.push(Flaw { at, message: message.into(), unknown: None, help });
    }

    fn unknown(&mut self, at: Range<usize>, what: &str, name: &str, known: Vec<&'static str>) {
        let message = format!("unknown {what} `{name}`");
        self.flaws.push(Flaw { at, message, unknown: Some((name.to_owned(), known)), help: None });
    }

    /// Whether there is still room below; told once.
    fn goes_down(&mut self, at: Range<usize>) -> bool {
        if self.depth == MAX_DEPTH {
            self.flaw(at, "the template is nested too deep", None);
            self.depth += 1;
        }
        self.depth < MAX_DEPTH
    }

    fn statements(&mut self, statements: &[Stmt<'t>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt<'t>) {
        if !self.goes_down(span(statement)) {
            return;
        }
        self.depth += 1;
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr);
                self.statements(&condition.true_body);
                self.statements(&condition.false_body);
            }
            Stmt::ForLoop(each) => {
                self.expression(&each.iter);
                if each.recursive {
                    self.flaw(span(statement), "a loop cannot be `recursive`", None);
                }
                let mut names = vec!["loop"];
                targets(&each.target, &mut names);
                self.scopes.push(names);
                each.filter_expr.iter().for_each(|filter| self.expression(filter));
                self.statements(&each.body);
                self.scopes.pop();
                self.statements(&each.else_body);
            }
            Stmt::Set(set) => {
                self.refuse_variables(span(statement));
                self.expression(&set.expr);
                let mut names = Vec::new();
                targets(&set.target, &mut names);
                // Its uses are no mistakes of their own.
                self.scopes.push(names);
            }
            Stmt::SetBlock(_) | Stmt::WithBlock(_) => self.refuse_variables(span(statement)),
            _ => {
                let help = "a template has `{{ … }}`, `{% if … %}` and `{% for … in … %}`";
                self.flaw(span(statement), "this statement cannot be used in a template", Some(help));
            }
        }
        self.depth -= 1;
    }

    fn refuse_variables(&mut self, at: Range<usize>) {
        self.flaw(at, "a template has no variables of its own", Some("write the expression where it is used"));
    }

    fn expression(&mut self, expression: &Expr<'t>) {
        let at = offsets(expression);
        if !self.goes_down(at.clone()) {
            return;
        }
        self.depth += 1;
        match expression {
            Expr::Const(_) => {}
            Expr::Var(var) => {
                if self.scopes.iter().flatten().any(|name| *name == var.id) {
                    // It is a loop's.
                } else if context::names().any(|name| name == var.id) {
                    self.named.push(var.id);
                } else {
                    self.unknown(at, "name", var.id, context::names().collect());
                }
            }
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(|part| self.expression(part));
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => {
                if is_arithmetic(operation.op) {
                    let help = "texts are joined with `~`, numbers can be compared";
                    self.flaw(at, "a template has no arithmetic", Some(help));
                }
                self.expression(&operation.left);
                self.expression(&operation.right);
            }
            Expr::Compare(comparison) => {
                self.expression(&comparison.expr);
                comparison.ops.iter().for_each(|op| self.expression(&op.expr));
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr);
                self.expression(&choice.true_expr);
                choice.false_expr.iter().for_each(|instead| self.expression(instead));
            }
            Expr::Filter(filter) => {
                self.applied("filter", filter.name, FILTERS, &filter.args, &at);
                filter.expr.iter().for_each(|expr| self.expression(expr));
            }
            Expr::Test(test) => {
                self.applied("test", test.name, TESTS, &test.args, &at);
                self.expression(&test.expr);
            }
            Expr::GetAttr(part) => {
                self.expression(&part.expr);
                if let Expr::Var(var) = &part.expr {
                    self.part(var.id, part.name, at);
                }
            }
            Expr::GetItem(part) => {
                self.expression(&part.expr);
                self.expression(&part.subscript_expr);
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|part| self.expression(part)),
            Expr::Call(_) => {
                let help = "use a filter, such as `{{ title|upper }}`";
                self.flaw(at, "a template cannot call anything", Some(help));
            }
        }
        self.depth -= 1;
    }

    fn part(&mut self, of: &str, name: &str, at: Range<usize>) {
        if self.scopes.iter().flatten().any(|scoped| *scoped == of) {
            if of == "loop" && !LOOP.contains(&name) {
                self.unknown(at, "part of `loop`", name, LOOP.to_vec());
            }
        } else if context::names().any(|known| known == of) && !MAPS.contains(&of) {
            let help = (of == "project").then_some("`project` is its slug, `project_name` its name");
            self.flaw(at, format!("`{of}` has no parts"), help);
        }
    }

    fn applied(
        &mut self,
        what: &str,
        name: &str,
        known: &'static [(&'static str, usize, usize)],
        arguments: &[CallArg<'t>],
        at: &Range<usize>,
    ) {
        match known.iter().find(|(known, ..)| *known == name) {
            None => self.unknown(at.clone(), what, name, known.iter().map(|(name, ..)| *name).collect()),
            Some((_, min, max)) if !(*min..=*max).contains(&arguments.len()) => {
                let takes = match max {
                    0 => "no value".to_owned(),
                    1 => "one value".to_owned(),
                    more => format!("{more} values"),
                };
                self.flaw(at.clone(), format!("`{name}` takes {takes}"), None);
            }
            Some(_) => {}
        }
        for argument in arguments {
            match argument {
                CallArg::Pos(expr) => self.expression(expr),
                CallArg::Kwarg(..) | CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
                    self.flaw(at.clone(), format!("`{name}` takes values without names"), None);
                }
            }
        }
    }
}

fn is_arithmetic(operation: BinOpKind) -> bool {
    use BinOpKind::{Add, Concat, Div, Eq, FloorDiv, Gt, Gte, In, Lt, Lte, Mul, Ne, Pow, Rem, ScAnd, ScOr, Sub};
    match operation {
        Add | Sub | Mul | Div | FloorDiv | Rem | Pow => true,
        Eq | Ne | Lt | Lte | Gt | Gte | ScAnd | ScOr | Concat | In => false,
    }
}

/// The names to which a loop gives its members.
fn targets<'t>(target: &Expr<'t>, names: &mut Vec<&'t str>) {
    match target {
        Expr::Var(var) => names.push(var.id),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| targets(item, names)),
        Expr::List(list) => list.items.iter().for_each(|item| targets(item, names)),
        _ => {}
    }
}

fn offsets(expression: &Expr<'_>) -> Range<usize> {
    let span = expression.span();
    span.start_offset as usize..span.end_offset as usize
}

fn span(statement: &Stmt<'_>) -> Range<usize> {
    let span = match statement {
        Stmt::Template(s) => s.span(),
        Stmt::EmitExpr(s) => s.span(),
        Stmt::EmitRaw(s) => s.span(),
        Stmt::ForLoop(s) => s.span(),
        Stmt::IfCond(s) => s.span(),
        Stmt::WithBlock(s) => s.span(),
        Stmt::Set(s) => s.span(),
        Stmt::SetBlock(s) => s.span(),
        Stmt::AutoEscape(s) => s.span(),
        Stmt::FilterBlock(s) => s.span(),
        Stmt::Do(s) => s.span(),
    };
    span.start_offset as usize..span.end_offset as usize
}
