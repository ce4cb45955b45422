//! Which language model is asked where no rule knows, as the command line or `.kubecure/` names it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::output::CliError;
use super::world::bad_input;
use crate::adapters::llm::{Key, Model};
use crate::settings::{ModelSettings, Provider};

/// The language model
#[derive(Args, Clone, Debug, Default)]
pub struct ModelArgs {
    /// Ask a language model where no rule knows: gemini:NAME, openai:NAME, anthropic:NAME, or none [default: the one of
    /// `kind: Settings` in .kubecure/ if there is a key, else none]
    #[arg(long = "model", value_name = "PROVIDER:NAME", env = "KUBECURE_MODEL")]
    pub name: Option<String>,
    /// Where the model's API is, for one of your own: `http://localhost:11434/v1`
    #[arg(long = "model-url", value_name = "URL", env = "KUBECURE_MODEL_URL")]
    pub url: Option<String>,
    /// The file that holds the model's key, read for each question [or `KUBECURE_MODEL_KEY`: the key itself]
    #[arg(long = "model-key-file", value_name = "FILE", env = "KUBECURE_MODEL_KEY_FILE")]
    pub key_file: Option<PathBuf>,
}

impl ModelArgs {
    /// The model, if one is named; the command line counts for more than the repository.
    pub fn open(&self, settings: Option<&ModelSettings>) -> Result<Option<Arc<Model>>, CliError> {
        let key = self.key();
        let (provider, name, url) = match (self.name.as_deref(), settings) {
            (Some("none" | ""), _) | (None, None) => return Ok(None),
            (Some(text), _) => {
                let (provider, name) = read(text)?;
                (provider, name.to_owned(), self.url.clone())
            }
            // What a repository names goes nowhere without a key that the process was given for it.
            (None, Some(_)) if matches!(key, Key::None) => return Ok(None),
            // Who may change the settings must not be able to send the key elsewhere.
            (None, Some(of)) if of.base_url.is_some() && self.url.is_none() => {
                return Err(CliError::usage(
                    "the repository names another address for the model, and the key would go there",
                )
                .hint("--model-url URL says that it may"));
            }
            (None, Some(of)) => (of.provider, of.name.clone(), self.url.clone()),
        };
        if let Some(url) = url.as_deref().filter(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
            return Err(
                CliError::usage(format!("{url} is no URL of a model")).hint("--model-url http://localhost:11434/v1")
            );
        }
        if url.is_none() && matches!(key, Key::None) {
            return Err(CliError::usage("the model has no key").hint("KUBECURE_MODEL_KEY, or --model-key-file FILE"));
        }
        let model = Model::new(provider, &name, url.as_deref(), key).map_err(bad_input)?;
        Ok(Some(Arc::new(model)))
    }

    #[expect(clippy::disallowed_methods, reason = "the edge: a key is no flag, which a list of processes would show")]
    fn key(&self) -> Key {
        let own = std::env::var("KUBECURE_MODEL_KEY").ok().filter(|key| !key.trim().is_empty());
        self.key_file.clone().map(Key::File).or_else(|| own.map(Key::Text)).unwrap_or(Key::None)
    }
}

/// `gemini:gemini-flash-latest`
fn read(text: &str) -> Result<(Provider, &str), CliError> {
    let (provider, name) = text.split_once(':').unwrap_or((text, ""));
    let provider = match provider {
        "gemini" => Provider::Gemini,
        "openai" => Provider::Openai,
        "anthropic" => Provider::Anthropic,
        _ => {
            return Err(CliError::usage(format!(
                "{text} is no model; gemini:NAME, openai:NAME, anthropic:NAME or none was expected"
            ))
            .hint("--model openai:llama3 --model-url http://localhost:11434/v1"));
        }
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if name.is_empty() || name.contains("..") || !name.chars().all(fits) {
        return Err(CliError::usage(format!("{text} names no model of the provider")).hint("--model gemini:NAME"));
    }
    Ok((provider, name))
}
