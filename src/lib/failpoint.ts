/**
 * Failpoints: a named step at which the process kills itself with SIGKILL, as a power cut would, so that
 * tests can prove that the next start repairs whatever was half done. Off unless named at the start.
 */

/** A function to call with every step; it does not return from the step that was named. */
export function killAt(failpoint: string | undefined): (step: string) => void {
  if (failpoint === undefined) return () => {}
  return (step) => {
    if (step === failpoint) process.kill(process.pid, 'SIGKILL')
  }
}
