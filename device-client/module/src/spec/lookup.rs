//! Elementwise function as a table (N10).

use super::Tensor;

/// `table[x + 128]`.
pub fn lookup(input: &Tensor, table: &[i8]) -> Tensor {
    let data = input
        .data
        .iter()
        .map(|&x| table[(i64::from(x) + 128) as usize])
        .collect();
    Tensor { data, ..*input }
}
