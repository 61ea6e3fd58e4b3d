//! Golden bytes, round trips and the arithmetic of the CRC.

use super::*;
