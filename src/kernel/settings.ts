/** Kernel settings below /proc/sys, of one namespace where they lie below `net`. */

/** Paths below /proc/sys as parts, since device names may hold dots: `['net', 'ipv4', 'ip_forward']`. */
export interface Sysctl {
  /** The value without its line end; undefined when there is no such setting. */
  read(path: readonly string[]): string | undefined
  /** For what is read again and again: the file stays open. */
  open(path: readonly string[]): OpenSetting
  write(path: readonly string[], value: string): void
}

/** One setting that can be read until it is disposed. */
export interface OpenSetting extends Disposable {
  /** The value without its line end; undefined when there was no such setting when it was opened. */
  read(): string | undefined
}
