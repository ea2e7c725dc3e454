//! Both logs as a whole.
