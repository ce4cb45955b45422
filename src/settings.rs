//! Environment and `.kubecure/`, parsed once and passed on.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::review::policy::schema;

/// What a repository says that is not policy: `kind: Settings` in `.kubecure/`. No credentials: those are the process's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(transform = schema::inherited)]
pub struct Settings {
    /// The language model that is asked when no rule knows. None: rules only.
    #[schemars(with = "ModelSettings")]
    pub model: Option<ModelSettings>,
    /// Other repositories that hold manifests.
    pub repositories: Vec<RepositorySettings>,
    /// The forge, where its kind or address does not follow from the repository's URL.
    #[schemars(with = "ForgeSettings")]
    pub forge: Option<ForgeSettings>,
    /// Which cluster which folders of the repository are for, where there are several.
    pub clusters: Vec<ClusterSettings>,
}

/// A language model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelSettings {
    /// Whose API it speaks.
    pub provider: Provider,
    /// The model's name, as the provider has it.
    pub name: String,
    /// Where it answers, for a provider of one's own: `http://ollama.models:11434/v1`.
    #[serde(default)]
    #[schemars(with = "String", extend("x-check" = "url"))]
    pub base_url: Option<String>,
}

/// Whose API a model speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Provider {
    /// `OpenAI`'s, and everything that serves the same: Ollama, vLLM, llama.cpp.
    Openai,
    /// Anthropic's.
    Anthropic,
    /// Google's.
    Gemini,
}

/// A repository that holds manifests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositorySettings {
    /// As Git clones it.
    pub url: String,
    /// The branch that is deployed; the repository's own default when left out.
    #[serde(default)]
    #[schemars(with = "String")]
    pub branch: Option<String>,
    /// Folders to read; all of it when left out.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// Where pull requests are opened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForgeSettings {
    /// Whose API it speaks.
    pub kind: ForgeKind,
    /// Where the API is, for a forge of one's own: `https://git.example.com/api/v4`.
    #[serde(default)]
    #[schemars(with = "String", extend("x-check" = "url"))]
    pub base_url: Option<String>,
}

/// Whose API a forge speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ForgeKind {
    /// GitHub, also one's own server.
    Github,
    /// GitLab, also one's own server.
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
    /// A bare repository on disk, with pull requests as data beside it.
    Local,
}

/// A cluster, and the folders that describe it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSettings {
    /// As it is called on pull requests.
    pub name: String,
    /// The folders of the repository that describe it; all when left out.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// What holds for every incident of a run.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'t> {
    pub policies: &'t crate::review::policy::Policies,
    /// What the cluster is called in fingerprints and text.
    pub cluster: &'t str,
    /// When the run is. Nothing below the command line reads a clock.
    pub now: crate::case::Timestamp,
}

/// The base branch at one commit: what is edited, and what may be.
#[derive(Debug)]
pub struct Ground {
    pub sources: std::sync::Arc<crate::case::Sources>,
    pub policies: crate::review::policy::Policies,
    /// Why the policy of this commit is not in force, if it is not: `policies` are then the last good ones.
    pub invalid: Option<String>,
}
