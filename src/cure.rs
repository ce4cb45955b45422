//! One incident, from symptom to pull request.
