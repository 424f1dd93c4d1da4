"""From site series and tower fluxes to feature tables, and the regressors that turn them into GPP."""
