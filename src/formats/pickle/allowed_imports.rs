// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a pickle may import: what makes numbers, texts, arrays and tensors and does nothing else, as in the
//! loaders of PyTorch that read weights only.

/// Whether to call it, with whatever arguments, does no more than to make a value. Names are compared as a
/// whole: a dot in one would lead from a harmless function to all that it knows.
pub(super) fn is_allowed(module: &[u8], name: &[u8]) -> bool {
    let is_listed = ALLOWED.iter().any(|(modules, names)| {
        let mut modules = modules.split(' ');
        modules.any(|one| one.as_bytes() == module)
            && names.split(' ').any(|one| one.as_bytes() == name)
    });
    let is_letters = name.iter().all(u8::is_ascii_alphanumeric);
    match module {
        _ if is_listed => true,
        b"torch" | b"torch.cuda" => is_letters && name.ends_with(b"Storage"),
        // The classes of a compiled model, which are in its archive and nowhere else.
        _ => module == b"__torch__" || module.starts_with(b"__torch__."),
    }
}

/// All modules and names that may be imported.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    let listed = ALLOWED.iter().flat_map(|(modules, names)| [modules, names]);
    listed.flat_map(|words| words.split(' '))
}

/// Modules, and names in each of them.
const ALLOWED: &[(&str, &str)] = &[
    ("collections", "OrderedDict Counter defaultdict deque"),
    (
        "builtins __builtin__",
        "set frozenset bytearray complex int float bool list dict tuple slice range",
    ),
    ("_codecs", "encode"),
    (
        "numpy",
        "ndarray dtype bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64",
    ),
    (
        "numpy.core.multiarray numpy._core.multiarray",
        "_reconstruct scalar",
    ),
    ("numpy.core.numeric numpy._core.numeric", "_frombuffer"),
    (
        "torch",
        "Size Tensor device float16 float32 float64 half float double bfloat16 uint8 uint16 uint32 uint64 \
         int8 int16 int32 int64 short int long bool complex32 complex64 complex128 float8_e4m3fn \
         float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 quint8 qint8 qint32 \
         quint4x2 quint2x4 strided sparse_coo per_tensor_affine per_tensor_symmetric per_channel_affine \
         per_channel_symmetric",
    ),
    (
        "torch._utils",
        "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter \
         _rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor \
         _rebuild_sparse_csr_tensor _rebuild_meta_tensor_no_storage _rebuild_nested_tensor",
    ),
    ("torch._tensor", "_rebuild_from_type_v2"),
    (
        "torch.jit._pickle",
        "build_intlist build_tensorlist build_doublelist build_boollist build_tensor_from_id restore_type_tag",
    ),
    (
        "torch.nn.parameter",
        "Parameter Buffer UninitializedParameter UninitializedBuffer",
    ),
    ("torch.serialization", "_get_layout"),
    (
        "torch.storage",
        "TypedStorage UntypedStorage _TypedStorage _UntypedStorage",
    ),
];
