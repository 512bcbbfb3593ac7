import { expect, test } from 'bun:test'
import { RightOfWay } from './right-of-way.ts'

test('nobody is waited for where nobody has it', () => {
  const way = new RightOfWay()
  way.giveWay(60_000)
  way.take()
  way.release()
  way.giveWay(60_000)
})

test('it is waited for no longer than asked', () => {
  const way = new RightOfWay()
  way.take()
  way.giveWay(5)
  way.release()
  way.giveWay(60_000)
})

test('another thread waits until all who took it have given it back', async () => {
  const way = new RightOfWay()
  way.take()
  way.take()
  const url = new URL('./right-of-way.ts', import.meta.url).href
  const code = `
    import { RightOfWay } from ${JSON.stringify(url)}
    self.onmessage = ({ data }) => {
      postMessage('waits')
      new RightOfWay(data).giveWay(60_000)
      postMessage('goes')
    }`
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })))
  try {
    const heard: string[] = []
    const gone = new Promise<void>((resolve) => {
      worker.onmessage = ({ data }: { data: string }) => {
        heard.push(data)
        if (data === 'goes') return resolve()
        way.release()
        heard.push('one is left')
        way.release()
      }
    })
    worker.postMessage(way.shared)
    await gone
    expect(heard).toEqual(['waits', 'one is left', 'goes'])
  } finally {
    worker.terminate()
  }
})
