/** Walking through what is too much for one go. */

/** The next few of what is left: fewer when that is all. */
export function take<T>(items: Iterator<T>, count: number): readonly T[] {
  const taken: T[] = []
  while (taken.length < count) {
    const { done, value } = items.next()
    if (done === true) break
    taken.push(value)
  }
  return taken
}
