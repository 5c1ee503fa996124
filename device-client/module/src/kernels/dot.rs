//! Sums of products of bytes, written so that LLVM vectorises them.

/// Sum of `x * w` over two slices of equal length.
#[inline]
pub(crate) fn dot(x: &[u8], w: &[u8]) -> i32 {
    x.iter().zip(w).fold(0i32, |sum, (&x, &w)| {
        sum.wrapping_add(i32::from(x as i8).wrapping_mul(i32::from(w as i8)))
    })
}

/// The sums of `x` with the bytes at `at` of four rows of weights, added to `sums`.
#[inline]
pub(crate) fn dot4(sums: &mut [i32; 4], x: &[u8], w: &[&[u8]; 4], at: usize) {
    let n = x.len();
    let [w0, w1, w2, w3] = w;
    let (w0, w1, w2, w3) = (
        &w0[at..at + n],
        &w1[at..at + n],
        &w2[at..at + n],
        &w3[at..at + n],
    );
    let [mut s0, mut s1, mut s2, mut s3] = *sums;
    for i in 0..n {
        let x = i32::from(x[i] as i8);
        s0 = s0.wrapping_add(x.wrapping_mul(i32::from(w0[i] as i8)));
        s1 = s1.wrapping_add(x.wrapping_mul(i32::from(w1[i] as i8)));
        s2 = s2.wrapping_add(x.wrapping_mul(i32::from(w2[i] as i8)));
        s3 = s3.wrapping_add(x.wrapping_mul(i32::from(w3[i] as i8)));
    }
    *sums = [s0, s1, s2, s3];
}

/// As [`dot4`], of whole rows of weights, which may be long.
#[inline]
pub(crate) fn dot4_rows(sums: &mut [i32; 4], x: &[u8], w: &[&[u8]; 4]) {
    if cfg!(target_arch = "arm") {
        // Pointers into four rows with their sums are more than the registers hold.
        let pairs = sums.as_chunks_mut::<2>().0.iter_mut();
        for (sums, [w0, w1]) in pairs.zip(w.as_chunks::<2>().0) {
            *sums = dot2(*sums, x, w0, w1);
        }
    } else {
        dot4(sums, x, w, 0);
    }
}

#[inline]
fn dot2(sums: [i32; 2], x: &[u8], w0: &[u8], w1: &[u8]) -> [i32; 2] {
    let each = x.iter().zip(w0).zip(w1);
    each.fold(sums, |[s0, s1], ((&x, &w0), &w1)| {
        let x = i32::from(x as i8);
        [
            s0.wrapping_add(x.wrapping_mul(i32::from(w0 as i8))),
            s1.wrapping_add(x.wrapping_mul(i32::from(w1 as i8))),
        ]
    })
}

/// Sum of `w`.
#[inline]
pub(crate) fn sum(w: &[u8]) -> i32 {
    w.iter()
        .fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w as i8)))
}
