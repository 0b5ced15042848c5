"""From LLVM modules to a shared library for one kind of processor."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from tools.kernels.lower import Lowered, Raw
from tools.kernels.wrap import wrapper_of

from poolwise.compiled.library import LAYOUT

TRIPLE = "x86_64-unknown-linux-gnu"
# What the functions share; numba's own memory is part of numba.
_SHARED = (Path(__file__).parent / "shared.ll").read_text()


def linked(functions: list[Lowered]) -> Any:
    """One module of all functions, of which only their symbols can be seen from outside."""
    libraries: dict[Raw, None] = {}
    for each in functions:
        each.library.with_linked(libraries)
    module = llvm.parse_assembly(f'target triple = "{TRIPLE}"')
    for library in libraries:
        module.link_in(library.copy())
    for each in functions:
        module.link_in(llvm.parse_assembly(wrapper_of(each)))
    return module


def optimised(module: Any, processor: str) -> tuple[Any, Any]:
    """The module in fewer instructions, by numba's sequence of passes, and the machine that it is for."""
    machine = _machine(processor)
    module.data_layout = str(machine.target_data)
    hide(module)
    for function in module.functions:
        passes, builder = _passes(machine, "function")
        passes.add_refprune_pass()
        passes.run(function, builder)
    passes, builder = _passes(machine, "module")
    passes.add_loop_rotate_pass()
    passes.add_instruction_combine_pass()
    passes.add_jump_threading_pass()
    passes.add_refprune_pass()
    passes.run(module, builder)
    module.link_in(llvm.parse_assembly(_SHARED))
    hide(module)
    passes, builder = _passes(machine, "module")
    passes.add_refprune_pass()
    passes.run(module, builder)
    module.verify()
    return module, machine


def hide(module: Any) -> None:
    """Let nothing be seen from outside but the symbols of the library; the rest is numbered.

    Some names that numba gives hold addresses of this process.
    """
    for number, each in enumerate([*module.functions, *module.global_variables]):
        if each.is_declaration:
            continue
        if each.name.startswith("poolwise.") or each.name == LAYOUT:
            each.linkage = "external"
        else:
            each.linkage = "internal"
            if not each.name.startswith("NRT_"):  # which a pass looks for
                each.name = f"internal.{number}"


def _machine(processor: str) -> Any:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(TRIPLE)
    return target.create_target_machine(cpu=processor, features="", opt=3, reloc="pic", codemodel="default")


def _passes(machine: Any, kind: str) -> tuple[Any, Any]:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization, options.slp_vectorization = True, False
    builder = llvm.create_pass_builder(machine, options)
    return builder.getModulePassManager() if kind == "module" else builder.getFunctionPassManager(), builder


def shared_library(code: bytes) -> bytes:
    """Link an object file; functions of the C library are left to be found when it is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "kernels.o"), Path(folder, "kernels.so")
        given.write_bytes(code)
        flags = [
            "-shared",
            "--strip-all",
            "--build-id=none",
            "--hash-style=gnu",
            "-z",
            "noexecstack",
            "-soname",
            "kernels",
        ]
        subprocess.run(["ld", *flags, "-o", made, given], check=True)
        return made.read_bytes()
