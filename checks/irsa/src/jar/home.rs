//! Which application something belongs to: classes of one application do not see those of another.

/// Where something belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// The application: a WAR, an EAR without its WARs, a jar with all that is in it, an unpacked application.
    pub(super) unit: String,
    /// The directory or zip in which it lies loose: its jars may be libraries of one application, or one each.
    pub(super) group: Option<String>,
}

impl Home {
    /// Something that stands for itself.
    pub(super) fn alone(at: &str) -> Self {
        Self { unit: at.to_owned(), group: None }
    }

    /// A directory or a zip.
    pub(super) fn group(at: &str) -> Self {
        Self { unit: at.to_owned(), group: Some(at.to_owned()) }
    }

    /// An archive that was named.
    pub(super) fn top(name: &str) -> Self {
        if ending(name) == "zip" { Self::group(name) } else { Self::alone(name) }
    }

    /// Whether jars lie loose in it.
    pub(super) fn is_group(&self) -> bool {
        self.group.as_ref() == Some(&self.unit)
    }

    /// Where the archive `name` belongs that lies in this one; `at` is its whole place.
    pub(super) fn archive(&self, name: &str, at: &str) -> Self {
        match ending(name).as_str() {
            "war" | "ear" => Self::alone(at),
            "zip" if self.is_group() => Self::group(at),
            _ if self.is_group() => match unpacked(name) {
                Some(application) => Self::alone(&format!("{}/{application}", self.unit)),
                None => Self { unit: at.to_owned(), group: self.group.clone() },
            },
            _ => self.clone(),
        }
    }

    /// Where the class `name` belongs that lies in this one.
    pub(super) fn class(&self, name: &str) -> Self {
        match unpacked(name).filter(|_| self.is_group()) {
            Some(application) => Self::alone(&format!("{}/{application}", self.unit)),
            None => self.clone(),
        }
    }
}

/// The folder of an unpacked application. If that is the whole group, it is no application apart.
fn unpacked(name: &str) -> Option<&str> {
    let end = ["/WEB-INF/", "/BOOT-INF/"].iter().filter_map(|inside| name.find(inside)).min()?;
    Some(&name[..end])
}

fn ending(name: &str) -> String {
    name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_war_and_a_loose_jar_stand_for_themselves_and_a_library_belongs_to_what_it_lies_in() {
        let ear = Home::top("shop.ear");
        assert_eq!(ear.archive("lib/auth.jar", "shop.ear!/lib/auth.jar"), ear);
        let war = ear.archive("a.war", "shop.ear!/a.war");
        assert_eq!(war, Home::alone("shop.ear!/a.war"));
        assert_eq!(war.archive("WEB-INF/lib/auth.jar", "shop.ear!/a.war!/WEB-INF/lib/auth.jar"), war);
        let folder = Home::group("apps");
        let jar = folder.archive("a.jar", "apps/a.jar");
        assert_eq!((jar.unit.as_str(), jar.group.as_deref(), jar.is_group()), ("apps/a.jar", Some("apps"), false));
        assert_eq!(jar.archive("BOOT-INF/lib/auth.jar", "…"), jar);
    }

    #[test]
    fn an_unpacked_application_in_a_folder_is_one_application() {
        let folder = Home::group("webapps");
        assert_eq!(folder.archive("shop/WEB-INF/lib/a.jar", "…"), Home::alone("webapps/shop"));
        assert_eq!(folder.class("shop/WEB-INF/classes/a.class"), Home::alone("webapps/shop"));
        assert_eq!(folder.class("WEB-INF/classes/a.class"), folder);
    }
}
