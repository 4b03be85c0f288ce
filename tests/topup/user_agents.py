"""What browsers really say of themselves, as people have sent it to servers."""

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_IOS = "AppleWebKit/605.1.15 (KHTML, like Gecko)"

IPHONE_SAFARI = (
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) {_IOS} Version/17.5 Mobile/15E148 Safari/604.1"
)
ANDROID_CHROME = f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36"
HARMONY_PHONE = (
    f"Mozilla/5.0 (Phone; OpenHarmony 5.0) {_WEBKIT} Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile HuaweiBrowser"
)
HARMONY_TABLET = f"Mozilla/5.0 (Tablet; OpenHarmony 5.0) {_WEBKIT} Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1"
IPAD = f"Mozilla/5.0 (iPad; CPU OS 12_5_7 like Mac OS X) {_IOS} Version/12.1.2 Mobile/15E148 Safari/604.1"
IPAD_AS_MAC = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_IOS} Version/17.5 Safari/605.1.15"
ANDROID_TABLET = f"Mozilla/5.0 (Linux; Android 13; SM-X800) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36"
WECHAT_IOS = (
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) {_IOS} Mobile/15E148 MicroMessenger/8.0.50(0x18003230)"
    " NetType/WIFI Language/zh_CN"
)
WECHAT_ANDROID = (
    f"Mozilla/5.0 (Linux; Android 13; V2239A Build/TP1A.220624.014; wv) {_WEBKIT} Version/4.0 Chrome/116.0.0.0 Mobile"
    " Safari/537.36 XWEB/1160065 MMWEBSDK/20231202 MMWEBID/2585 MicroMessenger/8.0.47.2560(0x28002F3B) WeChat/arm64"
    " Weixin NetType/5G Language/zh_CN ABI/arm64"
)
WECHAT_HARMONY = (
    f"Mozilla/5.0 (Phone; OpenHarmony 5.0) {_WEBKIT} Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile"
    " MicroMessenger/8.0.6.23(0xf380061d) NetType/WIFI Language/zh_CN"
)
WECHAT_IPAD = (
    f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {_IOS} Mobile/15E148 MicroMessenger/8.0.40(0x1800282a)"
    " NetType/WIFI Language/zh_CN"
)
WECHAT_WINDOWS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/122.0.0.0 Safari/537.36 MicroMessenger/7.0.20.1781"
    "(0x6700143B) NetType/WIFI MiniProgramEnv/Windows WindowsWechat/WMPF WindowsWechat(0x63090a13) XWEB/9129 Flue"
)
WECHAT_MAC = (
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Chrome/107.0.0.0 Safari/537.36 MicroMessenger/6.8.0"
    "(0x16080000) NetType/WIFI MiniProgramEnv/Mac MacWechat/WMPF MacWechat/3.8.7(0x13080712) XWEB/1191 Flue"
)
WECOM = (
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) {_IOS} Mobile/15E148 wxwork/4.1.20 MicroMessenger/7.0.1"
    " Language/zh ColorScheme/Light"
)
ALIPAY_ANDROID = (
    f"Mozilla/5.0 (Linux; U; Android 12; zh-CN; M2012K11AC Build/SKQ1.211006.001) {_WEBKIT} Version/4.0"
    " Chrome/100.0.4896.58 UWS/3.22.2.9999 Mobile Safari/537.36 UCBS/3.22.2.9999 ChannelId(0) NebulaSDK/1.8.100112"
    " Nebula AlipayDefined(nt:WIFI,ws:393|0|2.75) AliApp(AP/10.5.30.8000) AlipayClient/10.5.30.8000 Language/zh-Hans"
)
DESKTOPS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
)
