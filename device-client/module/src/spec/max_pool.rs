//! Maximum over a window (N9).

use super::{Tensor, tap_x, tap_y};
use crate::plan::Window;

/// The maximum over the valid elements, in a range; -128 where there are none.
pub fn max_pool(
    input: &Tensor,
    window: &Window,
    (low, high): (i8, i8),
    mut output: Tensor,
) -> Tensor {
    for (y, x, c) in output.coordinates() {
        let mut highest = -128;
        for ky in 0..window.kernel_height as usize {
            for kx in 0..window.kernel_width as usize {
                let taps =
                    tap_y(window, y, ky, input.height).zip(tap_x(window, x, kx, input.width));
                if let Some((iy, ix)) = taps {
                    highest = input.at(iy, ix, c).max(highest);
                }
            }
        }
        output.set(
            y,
            x,
            c,
            highest.clamp(i64::from(low), i64::from(high)) as i8,
        );
    }
    output
}
