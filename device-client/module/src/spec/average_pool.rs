//! Mean over a window (N9).

use super::{Tensor, rq, saturate, tap_x, tap_y};
use crate::numerics::Multiplier;
use crate::plan::{Clamp, Window};

/// `acc = sum(x - zi)` over the valid elements, times the multiplier of their count; with
/// `include_pad` the only multiplier is the full window's.
pub fn average_pool(
    input: &Tensor,
    window: &Window,
    input_zero_point: i8,
    (include_pad, means): (bool, &[(u32, Multiplier)]),
    clamp: &Clamp,
    mut output: Tensor,
) -> Tensor {
    for (y, x, c) in output.coordinates() {
        let mut acc = 0;
        let mut count = 0;
        for ky in 0..window.kernel_height as usize {
            for kx in 0..window.kernel_width as usize {
                let taps =
                    tap_y(window, y, ky, input.height).zip(tap_x(window, x, kx, input.width));
                if let Some((iy, ix)) = taps {
                    acc += input.at(iy, ix, c) - i64::from(input_zero_point);
                    count += 1;
                }
            }
        }
        let mean = means.iter().find(|(n, _)| include_pad || *n == count);
        let mean = mean.map_or(Multiplier { q: 0, t: 1 }, |(_, m)| *m);
        output.set(y, x, c, saturate(rq(acc, mean), clamp));
    }
    output
}
