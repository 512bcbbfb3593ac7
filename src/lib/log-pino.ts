/**
 * Where log lines go: JSON with `time`, `level`, `message`, `room` and the fields (pino), short text when a
 * person reads, a syslog priority before each line under journald. Conventions §8.
 */

import pino from 'pino'
import { isNetworkError, messageOf } from './errors.ts'
import type { Log, LogFields } from './log.ts'

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LogOptions {
  readonly level: LogLevel
  readonly style: 'json' | 'text'
  /** Puts `<3>` to `<7>` before each line: sd-daemon(3). */
  readonly priorities: boolean
  /** Takes whole lines. */
  readonly write: (line: string) => void
}

export interface LeveledLog extends Log {
  /** Changes the level of this log and all its children. */
  setLevel(level: LogLevel): void
}

/** Nested causes told of one error. */
const MOST_CAUSES = 5

export function createLog(options: LogOptions): LeveledLog {
  const level = { now: options.level }
  const emit = options.style === 'json' ? jsonLines(options) : textLines(options)
  const make = (room: string | undefined): Log => {
    const say = (at: LogLevel) => (message: string, fields?: LogFields) => {
      if (LOG_LEVELS.indexOf(at) <= LOG_LEVELS.indexOf(level.now)) emit(at, message, room, fields)
    }
    return {
      debug: say('debug'),
      info: say('info'),
      warn: say('warn'),
      error: say('error'),
      child: make,
    }
  }
  return {
    ...make(undefined),
    setLevel(wanted) {
      level.now = wanted
    },
  }
}

type Emit = (
  level: LogLevel,
  message: string,
  room: string | undefined,
  fields: LogFields | undefined,
) => void

function jsonLines({ write, priorities }: LogOptions): Emit {
  let prefix = ''
  const logger = pino(
    {
      level: 'debug',
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => write(prefix + line) },
  )
  return (level, message, room, fields) => {
    prefix = priorities ? priorityOf(level) : ''
    logger[level]({ ...(room === undefined ? {} : { room }), ...withErrors(fields) }, message)
  }
}

function textLines({ write, priorities }: LogOptions): Emit {
  return (level, message, room, fields) => {
    const time = new Date().toISOString().slice(11, 23)
    const where = room === undefined ? '' : `${room}: `
    const rest = Object.entries(withErrors(fields))
      .map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
      .join('')
    const prefix = priorities ? priorityOf(level) : ''
    write(`${prefix}${time} ${level.padEnd(5)} ${where}${message}${rest}\n`)
  }
}

/** Errors among the fields as `{code, message, causes[]}`. */
function withErrors(fields: LogFields = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      value instanceof Error ? errorFields(value) : value,
    ]),
  )
}

function errorFields(error: Error): { code: string; message: string; causes: string[] } {
  const causes: string[] = []
  let cause = error.cause
  while (cause !== undefined && causes.length < MOST_CAUSES) {
    causes.push(messageOf(cause))
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return { code: isNetworkError(error) ? error.code : error.name, message: error.message, causes }
}

/** linux/kern_levels.h: 3 error, 4 warning, 6 info, 7 debug. */
function priorityOf(level: LogLevel): string {
  return { error: '<3>', warn: '<4>', info: '<6>', debug: '<7>' }[level]
}
