//! Who may see the page.

use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{Method, StatusCode, Uri};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Who may see the page and press its buttons.
#[derive(Clone, Debug)]
pub struct Access {
    /// The secret that a viewer has to know; `None` lets everyone in who reaches the address.
    token: Option<String>,
    /// Whether only this machine can reach it.
    loopback: bool,
    /// The name of the cookie. Cookies are shared by all ports of a machine, so it has the port.
    cookie: String,
}

/// Why a request is refused.
pub type Refusal = (StatusCode, &'static str);

impl Access {
    pub fn new(token: Option<String>, loopback: bool, port: u16) -> Self {
        Self { token, loopback, cookie: format!("whycam-{port}") }
    }

    /// A token that nobody can guess: 128 random bits.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new_token() -> Result<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|e| Error::runtime("the token", e))?;
        Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// Checks a request.
    ///
    /// # Errors
    /// It is refused: another site sent it, or the token is missing or wrong.
    pub fn check(&self, method: &Method, address: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(HOST).unwrap_or_default();
        // A name that leads to this machine by a trick of its owner's name server is not this machine's own.
        if self.loopback && !is_of_this_machine(host) {
            return Err((StatusCode::FORBIDDEN, "open the page as http://localhost:PORT or http://127.0.0.1:PORT"));
        }
        let foreign = (StatusCode::FORBIDDEN, "another site may not use this page");
        if let Some(origin) = text(ORIGIN)
            && origin.split_once("://").is_none_or(|(_, authority)| authority != host)
        {
            return Err(foreign);
        }
        // A link on another site may lead to the page, but nothing else.
        let is_link = method == Method::GET && address.path() == "/" && text(FETCH_MODE) == Some("navigate");
        if matches!(text(FETCH_SITE), Some("cross-site" | "same-site")) && !is_link {
            return Err(foreign);
        }
        if self.token.is_none() || self.token_in(address).is_some_and(|token| self.is_token(token)) {
            return Ok(());
        }
        let bearer = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let from_cookie = cookies.filter(|(name, _)| *name == self.cookie).map(|(_, value)| value);
        if from_cookie.chain(bearer).any(|token| self.is_token(token)) {
            return Ok(());
        }
        Err((StatusCode::UNAUTHORIZED, "open the address that whycam printed; it ends in ?token=…"))
    }

    /// The cookie that lets a viewer in from now on, if the address has the token.
    pub fn cookie_for(&self, address: &Uri) -> Option<String> {
        let token = self.token_in(address).filter(|token| self.is_token(token))?;
        Some(format!("{}={token}; Path=/; HttpOnly; SameSite=Lax", self.cookie))
    }

    fn token_in<'u>(&self, address: &'u Uri) -> Option<&'u str> {
        self.token.as_ref()?;
        address.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))
    }

    /// Compares in a time that does not depend on where the two differ.
    fn is_token(&self, given: &str) -> bool {
        self.token.as_ref().is_some_and(|token| token.as_bytes().ct_eq(given.as_bytes()).into())
    }
}

fn is_of_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn checked(access: &Access, method: Method, address: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap_or_else(|e| panic!("{e}"));
            map.insert(HeaderName::from_static(name), value);
        }
        let address = address.parse().unwrap_or_else(|e| panic!("{e}"));
        access.check(&method, &address, &map).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn a_viewer_from_elsewhere_needs_the_token() {
        let access = Access::new(Some("secret".into()), false, 8080);
        let host = ("host", "box:8080");
        let get = |address: &str, headers: &[(&'static str, &str)]| {
            checked(&access, Method::GET, address, &[&[host], headers].concat())
        };
        assert_eq!(get("/", &[]), 401);
        assert_eq!(get("/?token=secreT", &[]), 401);
        assert_eq!(get("/?token=secre", &[]), 401);
        assert_eq!(get("/?token=secret", &[]), 200);
        assert_eq!(get("/live.mjpg", &[("cookie", "a=b; whycam-8080=secret")]), 200);
        assert_eq!(get("/live.mjpg", &[("cookie", "whycam-8081=secret")]), 401);
        assert_eq!(get("/live.mjpg", &[("authorization", "Bearer secret")]), 200);
    }

    #[test]
    fn another_site_is_refused_except_for_a_link() {
        let access = Access::new(None, true, 8080);
        let (host, foreign) = (("host", "localhost:8080"), ("sec-fetch-site", "cross-site"));
        let post = |headers: &[(&'static str, &str)]| checked(&access, Method::POST, "/command", headers);
        assert_eq!(post(&[host, ("origin", "http://localhost:8080")]), 200);
        assert_eq!(post(&[host, ("origin", "http://evil.example")]), 403);
        assert_eq!(post(&[host, ("origin", "null")]), 403);
        assert_eq!(post(&[host, foreign]), 403);
        assert_eq!(checked(&access, Method::GET, "/", &[host, foreign, ("sec-fetch-mode", "navigate")]), 200);
        assert_eq!(checked(&access, Method::GET, "/live.mjpg", &[host, foreign, ("sec-fetch-mode", "no-cors")]), 403);
        // A name server that leads to 127.0.0.1.
        assert_eq!(checked(&access, Method::GET, "/", &[("host", "evil.example:8080")]), 403);
        assert_eq!(checked(&access, Method::GET, "/", &[("host", "[::1]:8080")]), 200);
    }
}
