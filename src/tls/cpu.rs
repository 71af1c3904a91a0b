// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the processor can do by itself. Without instructions for AES, which many small boards lack,
//! ChaCha20 is several times faster.

/// Whether there are instructions for AES and for the multiplication of its GCM.
#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
pub(crate) fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

/// Whether there are instructions for AES and for the multiplication of its GCM.
#[cfg(target_arch = "aarch64")]
pub(crate) fn has_aes() -> bool {
    // By this name both are meant: FEAT_AES and FEAT_PMULL.
    std::arch::is_aarch64_feature_detected!("aes")
}

/// Whether there are instructions for AES and for the multiplication of its GCM, as the kernel says.
#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
pub(crate) fn has_aes() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| says_aes(&text))
}

/// Reads the line of features in `/proc/cpuinfo` of a 32-bit ARM processor.
#[cfg_attr(
    any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64"),
    cfg(test)
)]
fn says_aes(cpuinfo: &str) -> bool {
    let line = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("Features"))
        .unwrap_or_default();
    ["aes", "pmull"]
        .iter()
        .all(|word| line.split_ascii_whitespace().any(|found| found == *word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_of_arm_are_words() {
        let with = "processor\t: 0\nFeatures\t: half thumb aes pmull sha1\n";
        assert!(says_aes(with));
        assert!(!says_aes(&with.replace(" aes", " aesni")));
        assert!(!says_aes(
            "processor\t: 0\nFeatures\t: half thumb fastmult vfp edsp neon\n"
        ));
        assert!(!says_aes(""));
    }
}
