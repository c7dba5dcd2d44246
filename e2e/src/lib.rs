//! Both ends together: tests of the whole, against real servers, programs and a browser.
