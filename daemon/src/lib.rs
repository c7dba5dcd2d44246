//! What every process of ours needs around its work: logging, readiness, drain, metrics, TLS files, backoff, configuration errors.
