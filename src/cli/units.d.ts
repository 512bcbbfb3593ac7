/** Units of the service manager, imported `with { type: 'text' }`. systemd.unit(5) */
declare module '*.service' {
  const text: string
  export default text
}
declare module '*.socket' {
  const text: string
  export default text
}
