/** A compiled BPF object, imported `with { type: 'file' }`: the path where its bytes can be read. */
declare module '*.o' {
  const path: string
  export default path
}
