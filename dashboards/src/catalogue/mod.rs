//! The dashboards, in the order of the menu. What a panel asks for is its template's business; here stand only
//! places, titles and the fields that a panel is about.

mod parts;

mod overview;

mod pods;
mod services;

mod records;

mod nodes;

mod external;
mod policies;

use crate::panel::Dashboard;
use crate::template::TemplateError;

/// All dashboards, in the order of the menu.
///
/// # Errors
///
/// When a template under `specs/` does not fit its panel; a test of this crate makes them all.
pub fn dashboards() -> Result<Vec<Dashboard>, TemplateError> {
    MENU.iter().map(|entry| (entry.make)()).collect()
}

/// One line of the menu.
struct Entry {
    id: &'static str,
    title: &'static str,
    make: fn() -> Result<Dashboard, TemplateError>,
}

const MENU: &[Entry] = &[
    Entry { id: overview::ID, title: overview::TITLE, make: overview::make },
    Entry { id: pods::ID, title: pods::TITLE, make: pods::make },
    Entry { id: services::ID, title: services::TITLE, make: services::make },
    Entry { id: records::ID, title: records::TITLE, make: records::make },
    Entry { id: nodes::ID, title: nodes::TITLE, make: nodes::make },
    Entry { id: external::ID, title: external::TITLE, make: external::make },
    Entry { id: policies::ID, title: policies::TITLE, make: policies::make },
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::panel::Content;

    #[test]
    fn every_panel_has_a_place_of_its_own_within_the_grid() {
        for dashboard in dashboards().unwrap() {
            for (place, panel) in dashboard.panels.iter().enumerate() {
                let one = panel.grid;
                assert!(one.x + one.w <= 48, "{} is too wide", panel.id);
                for other in &dashboard.panels[..place] {
                    let two = other.grid;
                    let beside = one.x >= two.x + two.w || two.x >= one.x + one.w;
                    let below = one.y >= two.y + two.h || two.y >= one.y + one.h;
                    assert!(beside || below, "{} lies on {} of {}", panel.id, other.id, dashboard.id);
                }
            }
        }
    }

    #[test]
    fn a_panel_on_two_dashboards_is_the_same_one() {
        let mut known = HashMap::new();
        for panel in dashboards().unwrap().into_iter().flat_map(|dashboard| dashboard.panels) {
            let content = serde_json::to_string(&panel.content).unwrap();
            let before = known.insert(panel.id.clone(), (panel.title.clone(), content.clone()));
            assert!(before.is_none_or(|before| before == (panel.title, content)), "{}", panel.id);
        }
    }

    #[test]
    fn every_dashboard_links_to_every_other() {
        let all = dashboards().unwrap();
        for dashboard in &all {
            let text = dashboard.panels.iter().find_map(|panel| match &panel.content {
                Content::Markdown { text } => Some(text),
                _ => None,
            });
            let text = text.unwrap();
            for other in all.iter().filter(|other| other.id != dashboard.id) {
                assert!(text.contains(&format!("(#/view/{})", other.id)), "{} in {}", other.id, dashboard.id);
            }
        }
    }
}
