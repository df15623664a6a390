//! The ARN of a role, and of the sessions that it is assumed in.

/// The partition that a region belongs to.
pub(crate) fn partition_of(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// A role: `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleArn {
    pub(crate) text: String,
    pub(crate) partition: String,
    pub(crate) account: String,
    /// The path, with slashes around it, or one slash alone.
    pub(crate) path: String,
    pub(crate) name: String,
}

impl RoleArn {
    /// Reads an ARN as strictly as the pod identity webhook judges it; the error says what is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text != text.trim() {
            return Err("there is white space around it".to_owned());
        }
        if text.contains(['"', '\'']) {
            return Err("there are quotes in it".to_owned());
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts[..] else {
            return Err("it has not the form arn:PARTITION:iam::ACCOUNT:role/NAME".to_owned());
        };
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !partition.starts_with("aws") || !partition.chars().all(known) {
            return Err(format!("`{partition}` is not a partition of AWS"));
        }
        if account.len() != 12 || !account.chars().all(|c| c.is_ascii_digit()) {
            return Err(format!("the account `{account}` has not twelve digits"));
        }
        let Some((kind, rest)) = resource.split_once('/') else {
            return Err(format!("`{resource}` is not role/NAME"));
        };
        if kind != "role" {
            return Err(format!("it names a resource of type `{kind}` and not a role"));
        }
        let (path, name) = rest.rsplit_once('/').unwrap_or(("", rest));
        if name.is_empty() || !rest.chars().all(|c| c.is_ascii_alphanumeric() || "_-/.@+=,".contains(c)) {
            return Err(format!("`{rest}` is not the name of a role"));
        }
        let path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
        Ok(Self {
            text: text.to_owned(),
            partition: partition.to_owned(),
            account: account.to_owned(),
            path,
            name: name.to_owned(),
        })
    }

    /// Whether somebody who calls AWS under this ARN is in a session of the role. Sessions do not carry the role's path.
    pub(crate) fn is_assumed_by(&self, caller: &str) -> bool {
        let prefix = format!("arn:{}:sts::{}:assumed-role/{}/", self.partition, self.account, self.name);
        caller.strip_prefix(&prefix).is_some_and(|session| !session.is_empty() && !session.contains('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_with_its_path() {
        let role = RoleArn::parse("arn:aws-cn:iam::111122223333:role/apps/eu/orders").unwrap();
        assert_eq!(
            (role.partition.as_str(), role.account.as_str(), role.path.as_str(), role.name.as_str()),
            ("aws-cn", "111122223333", "/apps/eu/", "orders")
        );
        assert_eq!(RoleArn::parse("arn:aws:iam::111122223333:role/orders").unwrap().path, "/");
    }

    #[test]
    fn what_is_wrong_with_an_arn_is_named() {
        for (text, wrong) in [
            (" arn:aws:iam::111122223333:role/a", "white space"),
            ("arn:aws:iam::111122223333:role/a\n", "white space"),
            ("\"arn:aws:iam::111122223333:role/a\"", "quotes"),
            ("arn:aws:iam::::111122223333:role/a", "twelve digits"),
            ("arn:aws:iam::1111:role/a", "twelve digits"),
            ("arn:azure:iam::111122223333:role/a", "partition"),
            ("arn:aws:iam::111122223333:instance-profile/a", "instance-profile"),
            ("arn:aws:iam::111122223333:role", "not role/NAME"),
            ("arn:aws:iam::111122223333:role/", "not the name"),
            ("arn:aws:iam::111122223333:role/${ROLE}", "not the name"),
            ("arn:aws:sts::111122223333:assumed-role/a/b", "form"),
            ("orders", "form"),
        ] {
            let error = RoleArn::parse(text).unwrap_err();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }

    #[test]
    fn a_session_belongs_to_the_role_of_its_account_and_name() {
        let role = RoleArn::parse("arn:aws:iam::111122223333:role/apps/orders").unwrap();
        assert!(role.is_assumed_by("arn:aws:sts::111122223333:assumed-role/orders/eks-preflight"));
        for other in [
            "arn:aws:sts::111122223333:assumed-role/apps/orders",
            "arn:aws:sts::444455556666:assumed-role/orders/s",
            "arn:aws-cn:sts::111122223333:assumed-role/orders/s",
            "arn:aws:sts::111122223333:assumed-role/orders/",
            "arn:aws:iam::111122223333:user/orders",
        ] {
            assert!(!role.is_assumed_by(other), "{other}");
        }
    }
}
