//! What the `openssl` crate has no function for. All unsafe code of the crate is here.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_long, c_uint, c_void};
use std::time::Duration;

use foreign_types::ForeignTypeRef;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Public};
use openssl::ssl::{SslContextBuilder, SslRef, SslStream};
use openssl::x509::X509StoreContextRef;
use openssl_sys::{SSL, SSL_ctrl, X509_STORE_CTX_set_error};

use crate::agreement;

unsafe extern "C" {
    fn DTLSv1_listen(ssl: *mut SSL, peer: *mut c_void) -> c_int;
    fn BIO_ADDR_new() -> *mut c_void;
    fn BIO_ADDR_free(address: *mut c_void);
    fn DTLS_set_timer_cb(
        ssl: *mut SSL,
        callback: extern "C" fn(ssl: *mut SSL, micros: c_uint) -> c_uint,
    );
}

/// Of OpenSSL 3.2 and later.
#[cfg(feature = "vendored")]
mod raw_keys {
    use std::ffi::{c_int, c_uchar};

    use openssl_sys::{EVP_PKEY, SSL_CTX, X509_STORE_CTX};

    unsafe extern "C" {
        pub(super) fn SSL_CTX_set1_client_cert_type(
            context: *mut SSL_CTX,
            types: *const c_uchar,
            len: usize,
        ) -> c_int;
        pub(super) fn SSL_CTX_set1_server_cert_type(
            context: *mut SSL_CTX,
            types: *const c_uchar,
            len: usize,
        ) -> c_int;
        pub(super) fn X509_STORE_CTX_get0_rpk(context: *const X509_STORE_CTX) -> *mut EVP_PKEY;
    }

    // Of `openssl/tls1.h`.
    pub(super) const X509: c_uchar = 0;
    pub(super) const RAW_KEY: c_uchar = 2;
}

// Of `openssl/ssl.h`; macros there.
const DTLS_CTRL_GET_TIMEOUT: c_int = 73;
const DTLS_CTRL_HANDLE_TIMEOUT: c_int = 74;

/// Longest wait for an answer (RFC 6347 §4.2.4.1).
const LONGEST: Duration = Duration::from_secs(60);

/// Takes the ClientHello that waits in the input as one whose cookie was verified; false if
/// OpenSSL won't.
pub(crate) fn listen<S>(stream: &mut SslStream<S>) -> bool {
    // SAFETY: a fresh address, freed below and not used by OpenSSL after the call; the SSL is
    // alive and ours alone, as its stream is.
    unsafe {
        let address = BIO_ADDR_new();
        if address.is_null() {
            return false;
        }
        let result = DTLSv1_listen(stream.ssl().as_ptr(), address);
        BIO_ADDR_free(address);
        result == 1
    }
}

/// Lets the first wait for an answer be what [`agreement::first_timeout`] says, and each further one
/// twice as long.
pub(crate) fn set_timer<S>(stream: &mut SslStream<S>) {
    extern "C" fn next(ssl: *mut SSL, micros: c_uint) -> c_uint {
        let wait = match micros {
            0 => {
                // SAFETY: OpenSSL calls with the SSL whose timer it is, which is alive then; it is
                // read only.
                let ssl = unsafe { SslRef::from_ptr(ssl) };
                agreement::first_timeout(ssl)
            }
            _ => Duration::from_micros(u64::from(micros)).saturating_mul(2),
        };
        wait.min(LONGEST).as_micros() as c_uint
    }
    // SAFETY: the SSL is alive and ours alone, as its stream is; the callback is a function that does not unwind.
    unsafe { DTLS_set_timer_cb(stream.ssl().as_ptr(), next) }
}

/// How long OpenSSL waits before it repeats its flight; none if it waits for nothing.
pub(crate) fn timeout<S>(stream: &mut SslStream<S>) -> Option<Duration> {
    let mut left = libc::timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    // SAFETY: the command writes a timeval, and keeps no pointer to it.
    let result = unsafe {
        let place: *mut libc::timeval = &mut left;
        SSL_ctrl(
            stream.ssl().as_ptr(),
            DTLS_CTRL_GET_TIMEOUT,
            0,
            place.cast(),
        )
    };
    let seconds = Duration::from_secs(left.tv_sec.try_into().ok()?);
    let micros = Duration::from_micros(left.tv_usec.try_into().ok()?);
    (result == 1).then_some(seconds + micros)
}

/// Repeats the flight if it is time; false if it was repeated too often.
pub(crate) fn handle_timeout<S>(stream: &mut SslStream<S>) -> bool {
    const NONE: c_long = 0;
    // SAFETY: the command has no argument.
    let result = unsafe {
        let nothing = std::ptr::null_mut();
        SSL_ctrl(
            stream.ssl().as_ptr(),
            DTLS_CTRL_HANDLE_TIMEOUT,
            NONE,
            nothing,
        )
    };
    result >= 0
}

/// Agrees to raw public keys (RFC 7250) of clients that want them, and to certificates; of the
/// server a certificate only if it has one.
#[cfg(feature = "vendored")]
pub(crate) fn offer_raw_keys(
    builder: &mut SslContextBuilder,
    has_certificate: bool,
) -> Result<(), ErrorStack> {
    use raw_keys::{RAW_KEY, SSL_CTX_set1_client_cert_type, SSL_CTX_set1_server_cert_type, X509};
    let types = [RAW_KEY, X509];
    let own = if has_certificate { 2 } else { 1 };
    // SAFETY: the context is alive and ours alone, as its builder is; the lists are as long as it
    // says, and copied.
    let set = unsafe {
        let context = builder.as_ptr();
        SSL_CTX_set1_client_cert_type(context, types.as_ptr(), types.len()) == 1
            && SSL_CTX_set1_server_cert_type(context, types.as_ptr(), own) == 1
    };
    if set { Ok(()) } else { Err(ErrorStack::get()) }
}

/// The library of the system may not know them.
#[cfg(not(feature = "vendored"))]
pub(crate) fn offer_raw_keys(_: &mut SslContextBuilder, _: bool) -> Result<(), ErrorStack> {
    Ok(())
}

/// The raw public key that is verified; none if it is a certificate.
#[cfg(feature = "vendored")]
pub(crate) fn raw_key(context: &X509StoreContextRef) -> Option<PKey<Public>> {
    use foreign_types::ForeignType;
    use openssl_sys::EVP_PKEY_up_ref;
    // SAFETY: the context is alive. The key is its own, so it is counted once more before it is
    // given to something that frees it.
    unsafe {
        let key = raw_keys::X509_STORE_CTX_get0_rpk(context.as_ptr());
        let counted = !key.is_null() && EVP_PKEY_up_ref(key) == 1;
        counted.then(|| PKey::from_ptr(key))
    }
}

/// The library of the system may not know them.
#[cfg(not(feature = "vendored"))]
pub(crate) fn raw_key(_: &X509StoreContextRef) -> Option<PKey<Public>> {
    None
}

/// Says why a certificate is not believed.
pub(crate) fn set_verify_error(context: &mut X509StoreContextRef, error: c_int) {
    // SAFETY: the context is alive and ours alone; any number will do.
    unsafe { X509_STORE_CTX_set_error(context.as_ptr(), error) }
}
