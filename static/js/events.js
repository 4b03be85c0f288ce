// Server-sent events out of a response's body. EventSource cannot post.

/** Yields {event, data}; data is JSON. What has none, a comment to keep the line open, is left out. */
export async function* events(body) {
  let rest = "";
  for await (const text of texts(body)) {
    const [last, ...whole] = (rest + text).split(/\r?\n\r?\n/).reverse();
    rest = last;
    for (const block of whole.reverse()) {
      const found = parse(block);
      if (found) yield found;
    }
  }
}

async function* texts(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(block) {
  let event = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).trim());
  }
  return data.length ? { event, data: JSON.parse(data.join("\n")) } : null;
}
