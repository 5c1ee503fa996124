//! Concatenation.

pub(super) fn run(inputs: &[(&[f32], &[usize])], axis: usize, out: &mut [f32]) {
    let Some((_, first)) = inputs.first() else {
        return;
    };
    let outer: usize = first[..axis].iter().product();
    let mut at = 0;
    for index in 0..outer {
        for (values, shape) in inputs {
            let run: usize = shape[axis..].iter().product();
            out[at..at + run].copy_from_slice(&values[index * run..(index + 1) * run]);
            at += run;
        }
    }
}
