/** What the demo tells: to standard output, or to nobody but errors when the facts are wanted as JSON. */

export class Story {
  readonly #quiet: boolean
  readonly #colour: boolean

  constructor(quiet: boolean) {
    this.#quiet = quiet
    this.#colour = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined
  }

  title(text: string): void {
    this.#line(`\n${this.#paint('1', text)}`)
  }

  command(text: string): void {
    this.#line(this.#paint('2', `$ ${text}`))
  }

  say(text: string): void {
    this.#line(`  ${text}`)
  }

  show(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.#line(`  ${line}`)
  }

  check(ok: boolean, text: string): void {
    if (ok) this.#line(`  ${this.#paint('32', '✓')} ${text}`)
    else this.fail(text)
  }

  fail(text: string): void {
    process.stderr.write(`  ✗ ${text}\n`)
  }

  #line(text: string): void {
    if (!this.#quiet) process.stdout.write(`${text}\n`)
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\x1b[${code}m${text}\x1b[0m` : text
  }
}
