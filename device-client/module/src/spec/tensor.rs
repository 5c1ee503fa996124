//! A whole tensor.

use crate::plan::Span;

/// A channels-last tensor of int8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Rows.
    pub height: usize,
    /// Elements per row.
    pub width: usize,
    /// Channels per element.
    pub channels: usize,
    /// Elements: row, column, channel.
    pub data: Vec<i8>,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn new(height: usize, width: usize, channels: usize) -> Tensor {
        Tensor {
            height,
            width,
            channels,
            data: vec![0; height * width * channels],
        }
    }

    /// Element `(y, x, c)`.
    pub fn at(&self, y: usize, x: usize, c: usize) -> i64 {
        i64::from(self.data[(y * self.width + x) * self.channels + c])
    }

    /// Sets element `(y, x, c)`.
    pub fn set(&mut self, y: usize, x: usize, c: usize, value: i8) {
        self.data[(y * self.width + x) * self.channels + c] = value;
    }

    /// The coordinates of all elements in stored order.
    pub fn coordinates(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (height, width, channels) = (self.height, self.width, self.channels);
        (0..height)
            .flat_map(move |y| (0..width).flat_map(move |x| (0..channels).map(move |c| (y, x, c))))
    }

    /// The stored bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.data.iter().map(|&x| x as u8).collect()
    }

    /// Reads a tensor from a memory.
    pub(super) fn load(memory: &[u8], span: &Span) -> Tensor {
        let mut tensor = Tensor::new(span.height, span.width, span.channels);
        for (y, x, c) in tensor.coordinates() {
            tensor.set(y, x, c, memory[place(span, y, x, c)] as i8);
        }
        tensor
    }

    /// Writes the tensor to a memory.
    pub(super) fn store(&self, memory: &mut [u8], span: &Span) {
        for (y, x, c) in self.coordinates() {
            memory[place(span, y, x, c)] = self.at(y, x, c) as u8;
        }
    }
}

fn place(span: &Span, y: usize, x: usize, c: usize) -> usize {
    span.start + y % span.ring * span.row_stride + x * span.channels + c
}
