"""What an embedded server tells the person who waits for it, in English and Chinese."""

import os
from collections.abc import Mapping
from typing import Final

MESSAGES: Final[dict[str, tuple[str, str]]] = {
    # progress
    "creating": ("{name}: making a new data directory", "{name}:正在创建新的数据目录"),
    "starting": ("{name}: starting on port {port}", "{name}:正在端口 {port} 上启动"),
    "waiting": ("{name}: not ready after {seconds} s, still waiting ({log})", "{name}:{seconds} 秒后仍未就绪,继续等待({log})"),
    "ready": ("{name}: ready on port {port}", "{name}:已就绪,端口 {port}"),
    "leftover": (
        "{name}: an earlier run left a server behind (process {pid}); stopping it cleanly",
        "{name}:上次运行遗留了一个服务进程({pid}),正在正常停止",
    ),
    "unfinished": (
        "{name}: an earlier start was interrupted before its data directory was made; starting over",
        "{name}:上次启动在数据目录建成之前被中断,重新开始",
    ),
    "set_aside": ("{name}: {what} cannot be used and was set aside as {where}", "{name}:{what} 无法使用,已移至 {where}"),
    "port_taken": ("{name}: port {port} was taken meanwhile, choosing another", "{name}:端口 {port} 已被占用,另选一个"),
    "copying": (
        "{name}: copying its programs to {where}, where user {user} may run them",
        "{name}:正在将程序复制到 {where},以便用户 {user} 运行",
    ),
    # errors, each with a way out
    "locked": (
        "{name}: another running copy uses {directory} (process {pid}). Stop it, or set STAMPEDE_DATA_DIR to another directory.",
        "{name}:另一个正在运行的实例占用了 {directory}(进程 {pid})。请先停止它,或将 STAMPEDE_DATA_DIR 设为其他目录。",
    ),
    "port_busy": (
        "{name}: port {port} is busy. Stop what listens there, or choose another port.",
        "{name}:端口 {port} 已被占用。请停止占用它的程序,或改用其他端口。",
    ),
    "directory_unusable": (
        "{name}: {directory} cannot be written ({reason}). Correct its owner, or set STAMPEDE_DATA_DIR to a directory of yours.",
        "{name}:无法写入 {directory}({reason})。请修正其所有者,或将 STAMPEDE_DATA_DIR 设为您有权限的目录。",
    ),
    "will_not_stop": (
        "{name}: process {pid} still uses {directory} and does not stop. End it with: kill {pid}",
        "{name}:进程 {pid} 仍在使用 {directory} 且无法停止。请执行:kill {pid}",
    ),
    "exited": (
        "{name}: ended while starting (exit code {status}). The last lines of {log}:\n{tail}",
        "{name}:启动过程中退出(退出码 {status})。{log} 的最后几行:\n{tail}",
    ),
    "too_slow": (
        "{name}: not ready after {seconds} s. The last lines of {log}:\n{tail}",
        "{name}:{seconds} 秒内未就绪。{log} 的最后几行:\n{tail}",
    ),
    "initdb_failed": (
        "{name}: the data directory could not be made in {directory}:\n{tail}",
        "{name}:无法在 {directory} 中创建数据目录:\n{tail}",
    ),
    "wrong_version": (
        "{name}: {directory} was made by version {made}, the programs are {found}. Set STAMPEDE_PG_BIN to the bin folder of {made}.",
        "{name}:{directory} 由版本 {made} 创建,而当前程序为版本 {found}。请将 STAMPEDE_PG_BIN 指向版本 {made} 的 bin 目录。",
    ),
    "damaged": (
        "{name}: {directory} has held data and {missing} is missing. Restore a backup; to start empty instead, move the directory away.",
        "{name}:{directory} 中曾有数据,但缺少 {missing}。请从备份恢复;若要从空库开始,请将该目录移走。",
    ),
    "no_programs": (
        "{name}: {where} does not hold the server's programs. Set STAMPEDE_PG_BIN to a folder with initdb and postgres, or unset it.",
        "{name}:{where} 中没有服务器程序。请将 STAMPEDE_PG_BIN 指向包含 initdb 与 postgres 的目录,或取消设置。",
    ),
    "cannot_drop": (
        "{name}: refuses to run as root, and this process may not become {user} ({reason}). Run as an ordinary user.",
        "{name}:不能以 root 身份运行,且当前进程无法切换为用户 {user}({reason})。请改用普通用户运行。",
    ),
}


def say(code: str, *, environ: Mapping[str, str] = os.environ, **params: object) -> str:
    """The text of ``code`` in the language of the environment (``LC_ALL``, ``LC_MESSAGES``, ``LANG``)."""
    chosen = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    english, chinese = MESSAGES[code]
    return (chinese if chosen.lower().startswith("zh") else english).format_map(params)
