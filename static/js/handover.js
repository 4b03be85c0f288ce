// Handing a payment to the app: a phone's browser goes to the provider's page, WeChat's own is asked to pay in place.
// What they say afterwards proves nothing: the card asks the server.

/** Right after the order was placed; later the person uses the card's button. */
export function handOver(card) {
  const door = card.querySelector("[data-open]");
  if (door) location.assign(door.href);
  else if (card.querySelector("[data-in-wechat]")) payInWeChat(card);
}

export async function payInWeChat(card) {
  const button = card.querySelector("[data-in-wechat]");
  const text = button.dataset;
  complain(card, "");
  const bridge = await bridgeOfWeChat();
  if (!bridge) return complain(card, text.textNoBridge);
  bridge.invoke("getBrandWCPayRequest", JSON.parse(text.inWechat), ({ err_msg: said }) => {
    if (said?.endsWith(":cancel")) complain(card, text.textCancel);
    else if (said?.endsWith(":fail")) complain(card, text.textFail);
    card.querySelector("[data-check]")?.click();
  });
}

/** WeChat puts its bridge into the page when it likes. */
function bridgeOfWeChat() {
  if (window.WeixinJSBridge) return window.WeixinJSBridge;
  return new Promise((done) => {
    document.addEventListener("WeixinJSBridgeReady", () => done(window.WeixinJSBridge), { once: true });
    setTimeout(done, 3_000, null);
  });
}

function complain(card, words) {
  const place = card.querySelector("[data-handover-problem]");
  place.textContent = words;
  place.hidden = !words;
}
