/**
 * What a part of the program may say while it runs. The logger is handed in; an event is a short fixed
 * sentence plus fields whose names are fixed in the style guide. Output is chosen in main.
 */

export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger for one room; every line carries `room`. */
  child(room: string): Log
}

/** Says nothing: for tests and short-lived commands. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}
