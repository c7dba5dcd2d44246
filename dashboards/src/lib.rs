//! The dashboards' sources, made into saved objects for Kibana and served to the web page.
