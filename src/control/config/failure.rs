//! A config that was refused: every problem, and the texts to show them in.

use std::fmt;

use super::render;
use super::sources::Sources;
use crate::base::settings::{Problem, Severity};

/// Why a config was refused. Displays as one line per problem.
#[derive(Debug, thiserror::Error)]
pub struct Failure {
    /// Errors and warnings in file order; at least one error.
    pub problems: Vec<Problem>,
    /// How many more there are than are told.
    pub untold: usize,
    /// What was read.
    pub sources: Sources,
}

impl Failure {
    /// Every problem with its source line marked, then how many there are.
    pub fn marked(&self) -> String {
        let shown: Vec<String> = self.problems.iter().map(|problem| render::marked(problem, &self.sources)).collect();
        let errors = self.problems.iter().filter(|problem| problem.severity == Severity::Error).count() + self.untold;
        let noun = if errors == 1 { "problem" } else { "problems" };
        let told = match self.untold {
            0 => String::new(),
            untold => format!(" ({untold} not shown)"),
        };
        format!("{}\n\n{errors} {noun}{told}\n", shown.join("\n\n"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&render::line(problem, &self.sources))?;
        }
        if self.untold > 0 {
            write!(f, "\nand {} more problems", self.untold)?;
        }
        Ok(())
    }
}
